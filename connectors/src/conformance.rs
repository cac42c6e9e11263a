//! What every backend of a door must do, as functions that a backend's own tests call.
//! Promise: they panic with a sentence that names the violated rule; they leave only keys of two fictional tenants.
//! Never: a rule that one backend cannot keep, or that only one keeps.

use std::{fmt::Debug, sync::Arc};

use bonded_schemas::TenantId;

use crate::{
    error::{ErrorKind, Result},
    keys::{DELETION_DAYS, ENCRYPT_BYTES_MAX, EncryptionContext, KeyId, KeyState, Keys},
};

const SECRET: &[u8] = b"what a key service keeps";

/// All rules of the KMS door, one after another, on keys made for the purpose.
pub async fn keys_conform(keys: Arc<dyn Keys>) {
    let world = World::new(keys).await;
    world.data_keys_are_fresh_and_open_from_their_wraps().await;
    world.small_secrets_round_trip_and_never_look_the_same().await;
    world.another_context_opens_nothing().await;
    world.another_key_opens_nothing().await;
    world.altered_or_cut_wraps_open_nothing().await;
    world.size_limits_hold().await;
    world.an_unknown_key_is_told().await;
    world.rotation_keeps_old_wraps_opening().await;
    world.re_encryption_moves_to_the_newest_version().await;
    world.iceberg_wraps_and_unwraps_without_context().await;
    world.a_disabled_key_refuses_everything_until_enabled().await;
    world.a_scheduled_deletion_refuses_everything_until_cancelled().await;
    world.keys_are_listed_as_described().await;
}

/// Two tenants, a key each, and a context.
struct World {
    keys: Arc<dyn Keys>,
    tenant: TenantId,
    key: KeyId,
    other_tenant: TenantId,
    other_key: KeyId,
    context: EncryptionContext,
}

impl World {
    async fn new(keys: Arc<dyn Keys>) -> Self {
        let tenant: TenantId = "acme-toys".parse().expect("a well-formed name");
        let other_tenant: TenantId = "globex-tools".parse().expect("a well-formed name");
        let key = ok(keys.create_key(&tenant).await, "a key is made for a tenant");
        let other_key = ok(keys.create_key(&other_tenant).await, "a key is made for a second tenant");
        assert_ne!(key, other_key, "two tenants never share a key");
        let context = EncryptionContext::new(&tenant, "conformance");
        Self { keys, tenant, key, other_tenant, other_key, context }
    }

    async fn wrap(&self) -> Vec<u8> {
        ok(self.keys.encrypt(&self.key, SECRET, &self.context).await, "an enabled key wraps")
    }

    async fn data_keys_are_fresh_and_open_from_their_wraps(&self) {
        let one = ok(self.keys.generate_data_key(&self.key, &self.context).await, "an enabled key makes data keys");
        let two = ok(self.keys.generate_data_key(&self.key, &self.context).await, "an enabled key makes data keys");
        assert_eq!(one.plaintext.len(), 32, "a data key has 256 bits");
        assert_ne!(one.plaintext, two.plaintext, "every data key is fresh");
        assert!(!holds(&one.wrapped, &one.plaintext), "a wrap does not hold its data key in the clear");
        assert!(!format!("{one:?}").contains(&format!("{:?}", &one.plaintext[..4])), "a data key does not print");
        let opened = ok(self.keys.decrypt(&self.key, &one.wrapped, &self.context).await, "a wrap opens under its key");
        assert_eq!(opened, one.plaintext, "a wrap opens to its data key");
    }

    async fn small_secrets_round_trip_and_never_look_the_same(&self) {
        let (one, two) = (self.wrap().await, self.wrap().await);
        assert_ne!(one, two, "two wraps of one secret differ");
        assert!(!holds(&one, SECRET), "a wrap does not hold its secret in the clear");
        for wrapped in [one, two] {
            let opened = ok(self.keys.decrypt(&self.key, &wrapped, &self.context).await, "a wrap opens under its key");
            assert_eq!(opened.as_slice(), SECRET, "a wrap opens to its secret");
        }
    }

    async fn another_context_opens_nothing(&self) {
        let wrapped = self.wrap().await;
        let mut more = self.context.clone();
        more.0.insert("extra".into(), "1".into());
        let mut fewer = self.context.clone();
        fewer.0.remove("purpose");
        let contexts = [
            EncryptionContext::none(),
            EncryptionContext::new(&self.tenant, "other"),
            EncryptionContext::new(&self.other_tenant, "conformance"),
            more,
            fewer,
        ];
        for context in contexts {
            let opened = self.keys.decrypt(&self.key, &wrapped, &context).await;
            refused(opened, "a wrap opens under its very context only");
            let moved = self.keys.re_encrypt(&self.key, &wrapped, &context).await;
            refused(moved, "a wrap is re-encrypted under its very context only");
        }
        let bare = ok(self.keys.encrypt(&self.key, SECRET, &EncryptionContext::none()).await, "a wrap needs no context");
        let opened = self.keys.decrypt(&self.key, &bare, &self.context).await;
        refused(opened, "a wrap without context does not open under one");
    }

    async fn another_key_opens_nothing(&self) {
        let wrapped = self.wrap().await;
        let opened = self.keys.decrypt(&self.other_key, &wrapped, &self.context).await;
        refused(opened, "another tenant's key opens nothing");
        let theirs = EncryptionContext::new(&self.other_tenant, "conformance");
        let opened = self.keys.decrypt(&self.other_key, &wrapped, &theirs).await;
        refused(opened, "another tenant's key opens nothing, in its own context either");
        let bare = ok(self.keys.encrypt(&self.key, SECRET, &EncryptionContext::none()).await, "a wrap needs no context");
        let opened = self.keys.decrypt(&self.other_key, &bare, &EncryptionContext::none()).await;
        refused(opened, "another tenant's key opens nothing, without context either");
        let sibling = ok(self.keys.create_key(&self.tenant).await, "a tenant may have a second key");
        let opened = self.keys.decrypt(&sibling, &wrapped, &self.context).await;
        refused(opened, "a second key of the tenant does not open the first one's wraps");
    }

    async fn altered_or_cut_wraps_open_nothing(&self) {
        let wrapped = self.wrap().await;
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 1 << (at % 8);
            let opened = self.keys.decrypt(&self.key, &altered, &self.context).await;
            refused(opened, &format!("a wrap with a flipped bit in byte {at} opens nothing"));
        }
        for length in [1, 4, 16, wrapped.len() / 2, wrapped.len() - 1] {
            let opened = self.keys.decrypt(&self.key, &wrapped[..length], &self.context).await;
            refused(opened, &format!("a wrap cut to {length} bytes opens nothing"));
        }
        let mut longer = wrapped.clone();
        longer.push(0);
        refused(self.keys.decrypt(&self.key, &longer, &self.context).await, "a wrap with a byte added opens nothing");
    }

    async fn size_limits_hold(&self) {
        let largest = vec![0x5a; ENCRYPT_BYTES_MAX];
        let wrapped = ok(self.keys.encrypt(&self.key, &largest, &self.context).await, "4096 bytes are wrapped");
        let opened = ok(self.keys.decrypt(&self.key, &wrapped, &self.context).await, "4096 bytes are opened");
        assert_eq!(*opened, largest, "4096 bytes come back");
        for length in [0, ENCRYPT_BYTES_MAX + 1] {
            let wrapped = self.keys.encrypt(&self.key, &vec![0; length], &self.context).await;
            failed_as(ErrorKind::Input, wrapped, &format!("{length} bytes are not wrapped"));
        }
    }

    async fn an_unknown_key_is_told(&self) {
        // Another id of the same shape, so that a backend looks for it.
        let last = if self.key.0.ends_with('0') { "1" } else { "0" };
        let unknown = KeyId(format!("{}{last}", &self.key.0[..self.key.0.len() - 1]));
        failed_as(ErrorKind::Setup, self.keys.describe(&unknown).await, "an unknown key is not described");
        let wrapped = self.keys.encrypt(&unknown, SECRET, &self.context).await;
        failed_as(ErrorKind::Setup, wrapped, "an unknown key wraps nothing");
    }

    async fn rotation_keeps_old_wraps_opening(&self) {
        let mut wraps = vec![self.wrap().await];
        let mut version = ok(self.keys.describe(&self.key).await, "a key is described").version;
        for _ in 0..2 {
            let rotated = ok(self.keys.rotate(&self.key).await, "an enabled key is rotated");
            assert!(rotated > version, "a rotation gives a higher version");
            version = rotated;
            let info = ok(self.keys.describe(&self.key).await, "a key is described");
            assert_eq!(info.version, version, "the newest version is the one described");
            wraps.push(self.wrap().await);
        }
        for wrapped in wraps {
            let opened = ok(self.keys.decrypt(&self.key, &wrapped, &self.context).await, "old wraps open after a rotation");
            assert_eq!(opened.as_slice(), SECRET, "old wraps open to their secret");
        }
    }

    async fn re_encryption_moves_to_the_newest_version(&self) {
        let old = self.wrap().await;
        ok(self.keys.rotate(&self.key).await, "an enabled key is rotated");
        let moved = ok(self.keys.re_encrypt(&self.key, &old, &self.context).await, "a wrap is re-encrypted");
        assert_ne!(moved, old, "re-encryption makes another wrap");
        let opened = ok(self.keys.decrypt(&self.key, &moved, &self.context).await, "a re-encrypted wrap opens");
        assert_eq!(opened.as_slice(), SECRET, "a re-encrypted wrap opens to the same secret");
        let mut altered = old.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        let moved = self.keys.re_encrypt(&self.key, &altered, &self.context).await;
        refused(moved, "an altered wrap is not re-encrypted");
    }

    async fn iceberg_wraps_and_unwraps_without_context(&self) {
        let iceberg = self.keys.clone().as_iceberg();
        let data_key = [9; 16];
        let wrapped = ok(iceberg.wrap_key(&data_key, &self.key.0).await, "iceberg wraps a key");
        let opened = ok(iceberg.unwrap_key(&wrapped, &self.key.0).await, "iceberg unwraps a key");
        assert_eq!(opened.as_bytes(), data_key, "iceberg unwraps to the same key");
        let same = self.keys.decrypt(&self.key, &wrapped, &EncryptionContext::none()).await;
        assert_eq!(ok(same, "iceberg's wraps carry no context").as_slice(), data_key, "both halves wrap alike");
        assert!(iceberg.unwrap_key(&wrapped, &self.other_key.0).await.is_err(), "iceberg unwraps under the right key only");
        let told = iceberg.unwrap_key(&wrapped, &self.other_key.0).await.err().map(crate::Error::from);
        let kind = told.map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::Refused), "a refusal stays a refusal on its way through iceberg");
    }

    async fn a_disabled_key_refuses_everything_until_enabled(&self) {
        let wrapped = self.wrap().await;
        ok(self.keys.disable(&self.key).await, "an enabled key is disabled");
        ok(self.keys.disable(&self.key).await, "disabling twice is no error");
        self.everything_is_refused(&wrapped, KeyState::Disabled).await;
        ok(self.keys.enable(&self.key).await, "a disabled key is enabled");
        ok(self.keys.enable(&self.key).await, "enabling twice is no error");
        let opened = ok(self.keys.decrypt(&self.key, &wrapped, &self.context).await, "an enabled key opens what it wrapped");
        assert_eq!(opened.as_slice(), SECRET, "nothing is lost by disabling");
    }

    async fn a_scheduled_deletion_refuses_everything_until_cancelled(&self) {
        let wrapped = self.wrap().await;
        for days in [0, DELETION_DAYS.start() - 1, DELETION_DAYS.end() + 1] {
            let scheduled = self.keys.schedule_deletion(&self.key, days).await;
            failed_as(ErrorKind::Input, scheduled, &format!("a deletion after {days} days is not scheduled"));
        }
        refused(self.keys.cancel_deletion(&self.key).await, "without a deletion there is none to cancel");
        let at = ok(self.keys.schedule_deletion(&self.key, *DELETION_DAYS.start()).await, "a deletion is scheduled");
        let info = ok(self.keys.describe(&self.key).await, "a key pending deletion is described");
        assert_eq!(info.deletion_at, Some(at), "the date of deletion is described");
        self.everything_is_refused(&wrapped, KeyState::PendingDeletion).await;
        refused(self.keys.enable(&self.key).await, "a key pending deletion is not enabled");
        refused(self.keys.disable(&self.key).await, "a key pending deletion is not disabled");
        let again = self.keys.schedule_deletion(&self.key, *DELETION_DAYS.end()).await;
        refused(again, "a deletion is scheduled once");
        ok(self.keys.cancel_deletion(&self.key).await, "a deletion is cancelled");
        let info = ok(self.keys.describe(&self.key).await, "a key is described");
        assert_eq!(info.deletion_at, None, "a cancelled deletion has no date");
        self.everything_is_refused(&wrapped, KeyState::Disabled).await;
        ok(self.keys.enable(&self.key).await, "a key whose deletion was cancelled is enabled");
        ok(self.keys.decrypt(&self.key, &wrapped, &self.context).await, "nothing is lost by a cancelled deletion");
    }

    async fn everything_is_refused(&self, wrapped: &[u8], state: KeyState) {
        let (keys, key, context) = (&self.keys, &self.key, &self.context);
        let info = ok(keys.describe(key).await, "a key that refuses is still described");
        assert_eq!(info.state, state, "the state is described");
        refused(keys.generate_data_key(key, context).await, "a key that is not enabled makes no data key");
        refused(keys.encrypt(key, SECRET, context).await, "a key that is not enabled wraps nothing");
        refused(keys.decrypt(key, wrapped, context).await, "a key that is not enabled opens nothing");
        refused(keys.re_encrypt(key, wrapped, context).await, "a key that is not enabled re-encrypts nothing");
        refused(keys.rotate(key).await, "a key that is not enabled is not rotated");
        let iceberg = keys.clone().as_iceberg();
        assert!(iceberg.wrap_key(SECRET, &key.0).await.is_err(), "a key that is not enabled wraps nothing for iceberg");
        let told = keys.encrypt(key, SECRET, context).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains(&key.0), "the refusal names the key: {told}");
    }

    async fn keys_are_listed_as_described(&self) {
        let listed = ok(self.keys.list().await, "keys are listed");
        for (key, tenant) in [(&self.key, &self.tenant), (&self.other_key, &self.other_tenant)] {
            let described = ok(self.keys.describe(key).await, "a key is described");
            assert_eq!(described.tenant, *tenant, "a key is described with its tenant");
            assert!(listed.contains(&described), "the list says of a key what its description says");
        }
    }
}

fn ok<T, E: Debug>(result: std::result::Result<T, E>, rule: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("rule broken: {rule}, but got {error:?}"),
    }
}

fn refused<T>(result: Result<T>, rule: &str) {
    failed_as(ErrorKind::Refused, result, rule);
}

/// The value is not shown: it may be a key.
fn failed_as<T>(kind: ErrorKind, result: Result<T>, rule: &str) {
    match result {
        Ok(_) => panic!("rule broken: {rule}, but it was done"),
        Err(error) => assert_eq!(error.kind(), kind, "rule broken: {rule} as {kind:?}, but got {error:?}"),
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

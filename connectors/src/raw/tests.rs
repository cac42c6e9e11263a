//! The raw zone on stores in memory and on disk: round trips, and everything that must be refused.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bonded_schemas::TenantScope;
use bytes::Bytes;
use futures::{TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart, memory::InMemory, path::Path,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Landed, RawReader, RawZone, StoreKind};
use crate::{
    clock::SystemClock,
    error::{ErrorKind, Result},
    keys::{
        KeyId, Keys,
        keyring::{Keyring, RootSource},
    },
    seal::{
        DocumentKey, NameKey, TenantSecret,
        ags1::{BLOCK_BYTES, SEALED_BLOCK_BYTES},
        cipher,
    },
};

mod pieces;

const NO_LIMIT: u64 = u64::MAX;
const MIB: usize = 1024 * 1024;

struct Tenant {
    scope: TenantScope,
    key: KeyId,
    names: NameKey,
    documents: DocumentKey,
}

struct World {
    zone: RawZone,
    store: Arc<dyn ObjectStore>,
    keys: Arc<dyn Keys>,
    acme: Tenant,
    globex: Tenant,
    _dir: TempDir,
}

impl World {
    async fn in_memory() -> Self {
        Self::new(TempDir::new().unwrap(), Arc::new(InMemory::new())).await
    }

    async fn on_disk() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("lake")).unwrap();
        let (store, _) = crate::lake::open_store(&dir.path().join("lake").display().to_string()).unwrap();
        Self::new(dir, store).await
    }

    /// In a bucket, with the key service that the bucket asks as well; `None` where no emulator is installed.
    async fn in_bucket(locked: bool) -> Option<Self> {
        let (bucket, keys) = crate::lake::s3_of_tests(locked).await?;
        let world = Self::with(TempDir::new().unwrap(), bucket.clone(), keys, StoreKind::S3).await;
        for tenant in [&world.acme, &world.globex] {
            bucket.assign(tenant.scope.tenant(), &tenant.key);
        }
        Some(world)
    }

    /// In a bucket of a real server that does not hold to all conditions.
    async fn at_ceph(versioned: bool) -> Option<Self> {
        let store = crate::lake::s3_at_ceph(versioned).await?;
        let dir = TempDir::new().unwrap();
        let keys: Arc<dyn Keys> =
            Arc::new(Keyring::create(&dir.path().join("keys"), RootSource::KeyFile, Arc::new(SystemClock)).unwrap());
        Some(Self::with(dir, store, keys, StoreKind::S3).await)
    }

    async fn new(dir: TempDir, store: Arc<dyn ObjectStore>) -> Self {
        let clock = Arc::new(SystemClock);
        let keys: Arc<dyn Keys> = Arc::new(Keyring::create(&dir.path().join("keys"), RootSource::KeyFile, clock).unwrap());
        Self::with(dir, store, keys, StoreKind::FILES).await
    }

    async fn with(dir: TempDir, store: Arc<dyn ObjectStore>, keys: Arc<dyn Keys>, kind: StoreKind) -> Self {
        let zone = RawZone { kind, ..RawZone::new(store.clone(), keys.clone()) };
        let acme = tenant("acme-toys", keys.as_ref()).await;
        let globex = tenant("globex-tools", keys.as_ref()).await;
        Self { zone, store, keys, acme, globex, _dir: dir }
    }

    async fn land(&self, tenant: &Tenant, bytes: &[u8]) -> Result<Landed> {
        self.zone.land(&tenant.scope, &tenant.key, &tenant.names, &mut &bytes[..], NO_LIMIT).await
    }

    async fn open(&self, tenant: &Tenant, path: &str) -> Result<RawReader> {
        self.zone.open(&tenant.scope, &tenant.key, path).await
    }

    async fn read(&self, tenant: &Tenant, path: &str) -> Result<Vec<u8>> {
        drain(self.open(tenant, path).await?).await
    }

    async fn stored(&self, path: &str) -> Bytes {
        self.store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
    }

    async fn overwrite(&self, path: &str, bytes: Vec<u8>) {
        self.store.put(&Path::from(path), PutPayload::from(bytes)).await.unwrap();
    }

    /// Every name in the store.
    async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.store.list(None).map_ok(|found| found.location.to_string()).try_collect().await.unwrap();
        names.sort();
        names
    }
}

#[expect(clippy::disallowed_methods, reason = "tests make their own tenants")]
async fn tenant(name: &str, keys: &dyn Keys) -> Tenant {
    let scope = TenantScope::establish(name.parse().unwrap(), "console:test");
    let key = keys.create_key(scope.tenant()).await.unwrap();
    let (names, documents) = TenantSecret::generate().derive();
    Tenant { scope, key, names, documents }
}

async fn drain(mut reader: RawReader) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        assert!(!chunk.is_empty() && chunk.len() <= BLOCK_BYTES);
        plain.extend_from_slice(&chunk);
    }
    assert!(reader.next_chunk().await?.is_none(), "the end stays the end");
    Ok(plain)
}

fn sample(bytes: usize) -> Vec<u8> {
    let mut plain = vec![0; bytes];
    cipher::fill_random(&mut plain);
    plain
}

/// Gives some bytes, then breaks.
struct Failing(usize);

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(io::Error::other("the line broke")));
        }
        let length = self.0.min(buffer.remaining());
        buffer.put_slice(&vec![b'x'; length]);
        self.0 -= length;
        Poll::Ready(Ok(()))
    }
}

async fn round_trips(world: &World) {
    for size in [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB] {
        let plain = sample(size);
        let landed = world.land(&world.acme, &plain).await.unwrap();
        assert_eq!((landed.size_bytes, landed.already), (size as u64, false));
        assert_eq!(landed.sha256, cipher::hex(ring::digest::digest(&ring::digest::SHA256, &plain).as_ref()));
        assert_eq!(landed.path, format!("tenants/acme-toys/raw/{}", landed.keyed_digest));
        assert!(!landed.path.contains(&landed.sha256));
        let reader = world.open(&world.acme, &landed.path).await.unwrap();
        assert_eq!((reader.size_bytes(), reader.sha256()), (size as u64, landed.sha256.clone()));
        assert!(drain(reader).await.unwrap() == plain, "{size} bytes come back");
    }
    assert!(world.names().await.iter().all(|name| !name.contains("staging")), "staging is empty");
}

#[tokio::test]
async fn bytes_come_back_in_memory() {
    round_trips(&World::in_memory().await).await;
}

#[tokio::test]
async fn bytes_come_back_from_disk() {
    round_trips(&World::on_disk().await).await;
}

#[tokio::test]
async fn bytes_come_back_from_a_bucket() {
    for locked in [false, true] {
        let Some(world) = World::in_bucket(locked).await else { return };
        round_trips(&world).await;
    }
}

async fn lands_once(world: &World) {
    for size in [0, 10, 7 * MIB] {
        let plain = sample(size);
        let first = world.land(&world.acme, &plain).await.unwrap();
        let (names, stored) = (world.names().await, world.stored(&first.path).await);
        let second = world.land(&world.acme, &plain).await.unwrap();
        assert_eq!(second, Landed { already: true, ..first.clone() });
        assert_eq!(world.names().await, names, "nothing was added");
        assert!(world.stored(&first.path).await == stored, "nothing was changed");
    }
}

#[tokio::test]
async fn the_same_bytes_land_once_in_memory() {
    lands_once(&World::in_memory().await).await;
}

#[tokio::test]
async fn the_same_bytes_land_once_on_disk() {
    lands_once(&World::on_disk().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_ignores_conditions_keeps_what_is_landed_all_the_same() {
    for versioned in [false, true] {
        let Some(world) = World::at_ceph(versioned).await else { return };
        round_trips(&world).await;
        lands_once(&world).await;
    }
    // Several may be first at once; each of them reads what it landed, since versions stay.
    let Some(world) = World::at_ceph(true).await else { return };
    assert!(one_lands(world).await >= 1);
}

#[tokio::test]
async fn the_same_bytes_land_once_in_a_bucket() {
    let Some(world) = World::in_bucket(true).await else { return };
    lands_once(&world).await;
    assert!(world.zone.put_note(&world.acme.scope, &world.acme.documents, &note_of(&world).await, b"{}").await.unwrap());
    assert!(!world.zone.put_note(&world.acme.scope, &world.acme.documents, &note_of(&world).await, b"[]").await.unwrap());
}

async fn note_of(world: &World) -> String {
    world.land(&world.acme, b"with a note").await.unwrap().path
}

/// Where a store takes the place of what lies there, whoever is reading keeps to what they opened.
#[tokio::test]
async fn a_reader_stays_with_the_version_that_it_opened() {
    let Some(world) = World::in_bucket(true).await else { return };
    let plain = sample(6 * MIB);
    let landed = world.land(&world.acme, &plain).await.unwrap();
    let reader = world.open(&world.acme, &landed.path).await.unwrap();
    world.overwrite(&landed.path, vec![0; 7 * MIB]).await;
    assert!(drain(reader).await.unwrap() == plain);
    assert_eq!(world.open(&world.acme, &landed.path).await.unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn what_no_object_of_the_store_could_hold_is_refused() {
    let dir = TempDir::new().unwrap();
    let keys: Arc<dyn Keys> =
        Arc::new(Keyring::create(&dir.path().join("keys"), RootSource::KeyFile, Arc::new(SystemClock)).unwrap());
    let small = StoreKind { whole_puts: true, object_bytes_max: 3 * MIB as u64 };
    let world = World::with(dir, Arc::new(InMemory::new()), keys, small).await;
    world.land(&world.acme, &sample(2 * MIB)).await.unwrap();
    let refused = world.land(&world.acme, &sample(2 * MIB + 1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input, "{refused}");
    let longest = world.names().await;
    assert_eq!(longest.len(), 1, "nothing of it stays");
    assert!(world.stored(&longest[0]).await.len() <= 3 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_lands() {
    assert_eq!(one_lands(World::on_disk().await).await, 1);
    if let Some(world) = World::in_bucket(true).await {
        // The emulator may let some in at once (see `lake/s3/tests.rs`); each of them reads what it landed all the same.
        assert!(one_lands(world).await >= 1);
    }
}

async fn one_lands(world: World) -> usize {
    let world = Arc::new(world);
    let plain = Arc::new(sample(2 * MIB));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (world, plain) = (world.clone(), plain.clone());
            tokio::spawn(async move { world.land(&world.acme, &plain).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for task in tasks {
        let landed = task.await.unwrap();
        first += usize::from(!landed.already);
        assert!(world.read(&world.acme, &landed.path).await.unwrap() == *plain);
    }
    let landed = world.names().await.into_iter().filter(|name| name.starts_with("tenants/")).count();
    assert_eq!(landed, 1);
    first
}

#[tokio::test]
async fn two_tenants_same_bytes_have_nothing_in_common() {
    let world = World::in_memory().await;
    let plain = sample(1000);
    let one = world.land(&world.acme, &plain).await.unwrap();
    let two = world.land(&world.globex, &plain).await.unwrap();
    assert_ne!(one.keyed_digest, two.keyed_digest);
    assert_eq!(world.open(&world.globex, &one.path).await.unwrap_err().kind(), ErrorKind::Refused);
    // Neither with the other's key, nor with the own key in the other's place.
    let borrowed = world.zone.open(&world.acme.scope, &world.globex.key, &one.path).await.unwrap_err();
    assert_eq!(borrowed.kind(), ErrorKind::Refused);
    let moved = one.path.replace("acme-toys", "globex-tools");
    world.overwrite(&moved, world.stored(&one.path).await.to_vec()).await;
    assert_eq!(world.open(&world.globex, &moved).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(world.zone.open(&world.globex.scope, &world.acme.key, &moved).await.unwrap_err().kind(), ErrorKind::Refused);
    let listed: Vec<String> = world.zone.list(&world.globex.scope).try_collect().await.unwrap();
    assert!(listed.contains(&two.path) && !listed.contains(&one.path));
}

#[tokio::test]
async fn whole_objects_swapped_between_paths_are_refused() {
    let world = World::in_memory().await;
    let one = world.land(&world.acme, &sample(1000)).await.unwrap();
    let two = world.land(&world.acme, &sample(1000)).await.unwrap();
    let (first, second) = (world.stored(&one.path).await, world.stored(&two.path).await);
    world.overwrite(&one.path, second.to_vec()).await;
    world.overwrite(&two.path, first.to_vec()).await;
    for landed in [one, two] {
        assert_eq!(world.open(&world.acme, &landed.path).await.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn bodies_footers_or_keys_swapped_between_objects_are_refused() {
    let world = World::in_memory().await;
    let one = world.land(&world.acme, &sample(1000)).await.unwrap();
    let two = world.land(&world.acme, &sample(1000)).await.unwrap();
    let (first, second) = (world.stored(&one.path).await, world.stored(&two.path).await);
    let footer = 8 + 28 + 1000;
    let key = footer + 84;
    for (from, to) in [(0, footer), (footer, first.len()), (footer, key), (key, first.len())] {
        let mut mixed = first.to_vec();
        mixed[from..to].copy_from_slice(&second[from..to]);
        world.overwrite(&one.path, mixed).await;
        assert_eq!(world.read(&world.acme, &one.path).await.unwrap_err().kind(), ErrorKind::Damaged, "{from}..{to}");
    }
    world.overwrite(&one.path, first.to_vec()).await;
    world.read(&world.acme, &one.path).await.unwrap();
}

#[tokio::test]
async fn every_flipped_bit_and_every_cut_is_refused() {
    let world = World::in_memory().await;
    let landed = world.land(&world.acme, &sample(40)).await.unwrap();
    let stored = world.stored(&landed.path).await;
    for bit in 0..stored.len() * 8 {
        let mut altered = stored.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        world.overwrite(&landed.path, altered).await;
        let kind = world.read(&world.acme, &landed.path).await.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::Damaged | ErrorKind::Refused), "bit {bit}: {kind:?}");
    }
    for length in 0..stored.len() {
        world.overwrite(&landed.path, stored[..length].to_vec()).await;
        assert!(world.read(&world.acme, &landed.path).await.is_err(), "cut to {length}");
        world.overwrite(&landed.path, stored[stored.len() - length..].to_vec()).await;
        assert!(world.read(&world.acme, &landed.path).await.is_err(), "only the last {length}");
    }
    let mut padded = stored.to_vec();
    padded.insert(8, 0);
    world.overwrite(&landed.path, padded).await;
    assert!(world.read(&world.acme, &landed.path).await.is_err());
}

#[tokio::test]
async fn a_large_object_altered_anywhere_never_reads_to_its_end() {
    let world = World::in_memory().await;
    let landed = world.land(&world.acme, &sample(6 * MIB + 3)).await.unwrap();
    let stored = world.stored(&landed.path).await;
    let places = [0, 8, 8 + SEALED_BLOCK_BYTES, 8 + 5 * SEALED_BLOCK_BYTES - 1, stored.len() - 200, stored.len() - 1];
    for place in places {
        let mut altered = stored.to_vec();
        altered[place] ^= 0x10;
        world.overwrite(&landed.path, altered).await;
        let Ok(mut reader) = world.open(&world.acme, &landed.path).await else { continue };
        let error = loop {
            match reader.next_chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("altered at {place}, yet read to the end"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(reader.next_chunk().await.is_err(), "after a failure there is no end");
    }
    // Whole blocks dropped or exchanged.
    let (one, two) = (8 + SEALED_BLOCK_BYTES, 8 + 2 * SEALED_BLOCK_BYTES);
    let mut exchanged = stored.to_vec();
    exchanged[8..two].rotate_left(SEALED_BLOCK_BYTES);
    let dropped = [&stored[..one], &stored[two..]].concat();
    for altered in [exchanged, dropped] {
        world.overwrite(&landed.path, altered).await;
        assert_eq!(world.read(&world.acme, &landed.path).await.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[tokio::test]
async fn a_cut_object_is_not_taken_for_already_landed() {
    let world = World::in_memory().await;
    let plain = sample(1000);
    let landed = world.land(&world.acme, &plain).await.unwrap();
    let stored = world.stored(&landed.path).await;
    world.overwrite(&landed.path, stored[..500].to_vec()).await;
    assert_eq!(world.land(&world.acme, &plain).await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(world.names().await, [landed.path]);
}

#[tokio::test]
async fn no_plaintext_is_stored() {
    let world = World::on_disk().await;
    let plain = b"Entry Summary Number,Line Tariff Duty Amount\n".repeat(50_000);
    let landed = world.land(&world.acme, &plain).await.unwrap();
    let note = b"{\"file_name\":\"march.csv\",\"sender\":\"reports@acme-toys.example\"}";
    assert!(world.zone.put_note(&world.acme.scope, &world.acme.documents, &landed.path, note).await.unwrap());
    for name in world.names().await {
        let stored = world.stored(&name).await;
        for word in [&b"Entry"[..], b"Tariff", b"march.csv", b"acme-toys.example", landed.sha256.as_bytes()] {
            assert!(!stored.windows(word.len()).any(|window| window == word), "{name}");
        }
    }
}

#[tokio::test]
async fn too_much_is_refused_and_leaves_nothing() {
    for world in [World::in_memory().await, World::on_disk().await] {
        for (size, limit) in [(11, 10), (8 * MIB, 7 * MIB as u64), (1, 0)] {
            let plain = sample(size);
            let acme = &world.acme;
            let refused = world.zone.land(&acme.scope, &acme.key, &acme.names, &mut &plain[..], limit).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Input);
        }
        assert_eq!(world.names().await, Vec::<String>::new());
        let plain = sample(10);
        world.zone.land(&world.acme.scope, &world.acme.key, &world.acme.names, &mut &plain[..], 10).await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_source_leaves_nothing() {
    for world in [World::in_memory().await, World::on_disk().await] {
        for size in [0, 10, 13 * MIB] {
            let acme = &world.acme;
            let failed = world.zone.land(&acme.scope, &acme.key, &acme.names, &mut Failing(size), NO_LIMIT).await;
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Input);
        }
        assert_eq!(world.names().await, Vec::<String>::new());
        let files = walk(&world._dir.path().join("lake"));
        assert_eq!(files, Vec::<String>::new(), "not even hidden parts");
    }
}

/// A store that fails at one step, after that step took effect or before.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fails: &'static str,
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

impl Faulty {
    fn at(&self, step: &str) -> object_store::Result<()> {
        if self.fails == step {
            return Err(object_store::Error::Generic { store: "faulty", source: step.into() });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    fails: &'static str,
}

#[async_trait::async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.fails == "part" {
            return Box::pin(async { Err(object_store::Error::Generic { store: "faulty", source: "part".into() }) });
        }
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let done = self.inner.complete().await?;
        if self.fails == "complete" {
            return Err(object_store::Error::Generic { store: "faulty", source: "answer lost".into() });
        }
        Ok(done)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.at("begin")?;
        let inner = self.inner.put_multipart_opts(at, options).await?;
        Ok(Box::new(FaultyUpload { inner, fails: self.fails }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if options.head {
            self.at("head")?;
        }
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.at("copy")?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_that_fails_at_any_step_is_left_as_it_was() {
    for fails in ["begin", "part", "head", "complete", "copy"] {
        let store = Arc::new(Faulty { inner: InMemory::new(), fails });
        let world = World::new(TempDir::new().unwrap(), store).await;
        for size in [10, 12 * MIB] {
            world.land(&world.acme, &sample(size)).await.expect_err(fails);
            assert_eq!(world.names().await, Vec::<String>::new(), "{fails}");
        }
    }
}

/// Files below a folder, with the ones that the store does not list.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path.display().to_string()) }
    }
    files
}

#[tokio::test]
async fn a_disabled_key_lands_and_opens_nothing() {
    let world = World::in_memory().await;
    let landed = world.land(&world.acme, b"some rows").await.unwrap();
    world.keys.disable(&world.acme.key).await.unwrap();
    assert_eq!(world.open(&world.acme, &landed.path).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(world.land(&world.acme, b"other rows").await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(world.names().await, std::slice::from_ref(&landed.path));
    world.keys.enable(&world.acme.key).await.unwrap();
    assert_eq!(world.read(&world.acme, &landed.path).await.unwrap(), b"some rows");
    world.keys.rotate(&world.acme.key).await.unwrap();
    assert_eq!(world.read(&world.acme, &landed.path).await.unwrap(), b"some rows");
    assert!(world.land(&world.acme, b"some rows").await.unwrap().already);
}

#[tokio::test]
async fn ranges_are_read_across_blocks() {
    let world = World::on_disk().await;
    let plain = sample(3 * MIB + 10);
    let landed = world.land(&world.acme, &plain).await.unwrap();
    let reader = world.open(&world.acme, &landed.path).await.unwrap();
    let end = plain.len() as u64;
    for (offset, length) in [(0, 0), (0, 1), (MIB as u64 - 1, 2), (5, 2 * MIB as u64), (end - 1, 1), (end, 0), (0, end)] {
        let range = reader.read_range(offset, length).await.unwrap();
        assert!(range == plain[offset as usize..(offset + length) as usize], "{length} at {offset}");
    }
    for (offset, length) in [(end, 1), (0, end + 1), (u64::MAX, 2), (0, u64::MAX)] {
        assert_eq!(reader.read_range(offset, length).await.unwrap_err().kind(), ErrorKind::Input);
    }
}

#[tokio::test]
async fn notes_are_written_once_and_bound_to_their_object() {
    for world in [World::in_memory().await, World::on_disk().await] {
        let World { zone, acme, globex, .. } = &world;
        let one = world.land(acme, b"one").await.unwrap();
        let two = world.land(acme, b"two").await.unwrap();
        assert_eq!(zone.note(&acme.scope, &acme.documents, &one.path).await.unwrap(), None);
        assert!(zone.put_note(&acme.scope, &acme.documents, &one.path, b"{\"n\":1}").await.unwrap());
        assert!(!zone.put_note(&acme.scope, &acme.documents, &one.path, b"{\"n\":2}").await.unwrap());
        let note = zone.note(&acme.scope, &acme.documents, &one.path).await.unwrap().unwrap();
        assert_eq!(note.as_slice(), b"{\"n\":1}");
        let stored = world.stored(&format!("{}.note", one.path)).await;
        world.overwrite(&format!("{}.note", two.path), stored.to_vec()).await;
        let moved = zone.note(&acme.scope, &acme.documents, &two.path).await.unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::Damaged);
        let others = zone.note(&globex.scope, &globex.documents, &one.path).await.unwrap_err();
        assert_eq!(others.kind(), ErrorKind::Refused);
        let mut listed: Vec<String> = zone.list(&acme.scope).try_collect().await.unwrap();
        listed.sort();
        let mut landed = vec![one.path.clone(), two.path];
        landed.sort();
        assert_eq!(listed, landed, "notes are not listed");
        assert!(zone.exists(&acme.scope, &one.path).await.unwrap());
        assert!(world.names().await.iter().all(|name| !name.contains("staging")), "staging is empty");
    }
}

#[tokio::test]
async fn paths_out_of_the_raw_folder_are_refused() {
    let world = World::in_memory().await;
    let acme = &world.acme;
    let digest = "0".repeat(64);
    let refused = [
        format!("tenants/globex-tools/raw/{digest}"),
        format!("tenants/acme-toys-2/raw/{digest}"),
        format!("tenants/acme-toys/warehouse/{digest}"),
        format!("/tenants/acme-toys/raw/{digest}"),
        format!("tenants/acme-toys/rawer/{digest}"),
        String::new(),
    ];
    for path in refused {
        assert_eq!(world.open(acme, &path).await.unwrap_err().kind(), ErrorKind::Refused, "{path}");
    }
    let malformed = ["../../globex-tools/raw/x", "staging/x", "", "ABC", &"A".repeat(64), &format!("{digest}.note")];
    for name in malformed {
        let path = format!("tenants/acme-toys/raw/{name}");
        assert_eq!(world.open(acme, &path).await.unwrap_err().kind(), ErrorKind::Input, "{path}");
    }
    let missing = world.open(acme, &format!("tenants/acme-toys/raw/{digest}")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Input);
    assert!(missing.to_string().contains("not in the lake"), "{missing}");
    assert!(!world.zone.exists(&acme.scope, &format!("tenants/acme-toys/raw/{digest}")).await.unwrap());
}

#[tokio::test]
async fn the_tenant_secret_opens_under_its_key_and_scope_only() {
    let world = World::in_memory().await;
    let (acme, globex, keys) = (&world.acme, &world.globex, world.keys.as_ref());
    let secret = TenantSecret::generate();
    let wrapped = secret.wrap(&acme.scope, keys, &acme.key).await.unwrap();
    let opened = TenantSecret::unwrap(&acme.scope, keys, &acme.key, &wrapped).await.unwrap();
    assert_eq!(opened.derive().0.keyed_digest("x", b"y"), secret.derive().0.keyed_digest("x", b"y"));
    assert_eq!(TenantSecret::unwrap(&globex.scope, keys, &globex.key, &wrapped).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(TenantSecret::unwrap(&globex.scope, keys, &acme.key, &wrapped).await.unwrap_err().kind(), ErrorKind::Refused);
}

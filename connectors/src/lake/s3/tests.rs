//! A lake in a bucket, on an emulator whose S3 checks conditions, checksums and the keys of encrypted objects.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path};

use super::{Honours, Place, S3, Use, bucket, honours, tenant_of};
use crate::{
    aws::{
        Account, Reach,
        private_aws::{PrivateAws, REGION},
    },
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind},
    keys::{EncryptionContext, KeyId, Keys, aws::AwsKeys},
};

const KEYED: Use = Use { tenant_keys: true, ..PLAIN };
const PLAIN: Use = Use { path_style: true, tenant_keys: false, retain: None };

async fn account(endpoint: &str) -> Account {
    Account::of_tests(Reach { region: REGION.into(), endpoint: Some(endpoint.into()), ..Reach::default() }).await
}

async fn lake(aws: &PrivateAws, usage: Use, locked: bool) -> S3 {
    let bucket = aws.bucket("lake", locked);
    S3::open(&format!("s3://{bucket}/some/lake"), account(&aws.endpoint).await, usage).unwrap()
}

/// A bucket and the key service that it asks, for others' tests.
pub(crate) async fn of_tests(locked: bool) -> Option<(Arc<S3>, Arc<dyn Keys>)> {
    let aws = PrivateAws::localstack()?;
    let keys = AwsKeys::open(&account(&aws.endpoint).await, &uuid::Uuid::new_v4().to_string(), Arc::new(SystemClock)).unwrap();
    Some((Arc::new(lake(aws, KEYED, locked).await), Arc::new(keys)))
}

fn create() -> PutOptions {
    PutOptions { mode: PutMode::Create, ..PutOptions::default() }
}

#[test]
fn a_lakes_url_names_a_bucket_and_a_prefix() {
    let place = Place::parse("s3://acme-lakes/one/two/").unwrap();
    assert_eq!(
        (place.bucket.as_str(), place.prefix.as_ref(), place.url().as_str()),
        ("acme-lakes", "one/two", "s3://acme-lakes/one/two")
    );
    assert_eq!(Place::parse("s3://acme-lakes").unwrap().url(), "s3://acme-lakes");
    for wrong in [
        "s3://",
        "s3://A/x",
        "s3://ab",
        "s3://acme_lakes/x",
        "s3://acme/../other",
        "s3://acme//x",
        "s3://acme/a b",
        "s3:acme",
        "s3://who:pw@acme/x",
    ] {
        assert_eq!(Place::parse(wrong).unwrap_err().kind(), ErrorKind::Setup, "{wrong}");
    }
}

#[test]
fn whose_an_object_is_stands_in_its_path() {
    let of = |path: &str| tenant_of(&Path::from(path)).map(|tenant| tenant.to_string());
    assert_eq!(of("tenants/acme-toys/raw/x").as_deref(), Some("acme-toys"));
    assert_eq!(of("tenants/acme-toys").as_deref(), Some("acme-toys"));
    for none in ["bonded.probe", "tenants", "other/acme-toys/x", "tenants/A/x"] {
        assert_eq!(of(none), None, "{none}");
    }
}

#[tokio::test]
async fn the_buckets_address_follows_the_style() {
    let at = |endpoint: Option<&str>| {
        let s3_endpoint = endpoint.map(ToOwned::to_owned);
        Account::of_tests(Reach { region: "eu-central-1".into(), s3_endpoint, ..Reach::default() })
    };
    let standard = at(None).await;
    assert_eq!(bucket::endpoint(&standard, "acme", false).unwrap(), "https://acme.s3.eu-central-1.amazonaws.com");
    assert_eq!(bucket::endpoint(&standard, "acme", true).unwrap(), "https://s3.eu-central-1.amazonaws.com");
    let own = at(Some("https://s3.example/")).await;
    assert_eq!(bucket::endpoint(&own, "acme", false).unwrap(), "https://acme.s3.example");
    assert_eq!(bucket::endpoint(&own, "acme", true).unwrap(), "https://s3.example");
}

#[tokio::test]
async fn of_many_writers_one_is_first_by_put_and_by_copy() {
    let Some(aws) = PrivateAws::localstack() else { return };
    for locked in [false, true] {
        let store = lake(aws, PLAIN, locked).await;
        assert_eq!(store.honours().await.unwrap(), Honours { put: true, copy: true });
        let from = Path::from("tenants/acme-toys/raw/staging/one");
        store.put(&from, PutPayload::from_static(b"staged")).await.unwrap();
        let (put, copied) = (Path::from("tenants/acme-toys/raw/put"), Path::from("tenants/acme-toys/raw/copied"));
        let writers = 0..16_u8;
        let puts = stream::iter(writers.clone().map(|writer| {
            let (store, put) = (&store, &put);
            async move { store.put_opts(put, PutPayload::from(vec![writer]), create()).await.map(|_| ()) }
        }));
        let done: Vec<_> = puts.buffer_unordered(16).collect().await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
        assert!(done.iter().all(|done| matches!(done, Ok(()) | Err(object_store::Error::AlreadyExists { .. }))), "{done:?}");
        let copies = stream::iter(writers.map(|_| store.copy_if_not_exists(&from, &copied)));
        let done: Vec<_> = copies.buffer_unordered(16).collect().await;
        // S3 lets one through. This emulator looks before it completes an upload and lets in who comes in between: what then
        // keeps a raw object whole is in `honours.rs`.
        assert!(done.iter().any(Result::is_ok), "{done:?}");
        assert!(done.iter().all(|done| matches!(done, Ok(()) | Err(object_store::Error::AlreadyExists { .. }))), "{done:?}");
        assert!(matches!(store.copy_if_not_exists(&from, &copied).await, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(store.get(&copied).await.unwrap().bytes().await.unwrap().as_ref(), b"staged");
    }
}

/// A store that ignores conditions answers every conditional write as if it had been the first.
#[tokio::test]
async fn a_store_that_ignores_conditions_is_found_out_and_looked_at_instead() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let store = lake(aws, PLAIN, true).await;
    store.honours.set(Honours { put: false, copy: false }).unwrap();
    let (one, two) = (Path::from("tenants/acme-toys/one"), Path::from("tenants/acme-toys/two"));
    store.put_opts(&one, PutPayload::from_static(b"first"), create()).await.unwrap();
    let again = store.put_opts(&one, PutPayload::from_static(b"second"), create()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
    store.copy_if_not_exists(&one, &two).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&one, &two).await, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(store.get(&one).await.unwrap().bytes().await.unwrap().as_ref(), b"first");

    let deaf = honours::probe(&Deaf(store)).await.unwrap();
    assert_eq!(deaf, Honours { put: false, copy: false });
}

/// Drops every condition on the way to a real store.
#[derive(Debug)]
struct Deaf(S3);

impl std::fmt::Display for Deaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deaf({})", self.0)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Deaf {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        self.0.base.put_opts(at, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.0.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<object_store::GetResult> {
        self.0.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        at: stream::BoxStream<'static, object_store::Result<Path>>,
    ) -> stream::BoxStream<'static, object_store::Result<Path>> {
        self.0.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> stream::BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<object_store::ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _: object_store::CopyOptions) -> object_store::Result<()> {
        self.0.base.copy(from, to).await
    }
}

#[tokio::test]
async fn each_tenants_objects_lie_under_its_own_key_and_go_dark_with_it() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let store = lake(aws, KEYED, false).await;
    let keys = AwsKeys::open(&account(&aws.endpoint).await, "s3-tests", Arc::new(SystemClock)).unwrap();
    let (acme, globex) = ("acme-toys".parse().unwrap(), "globex-tools".parse().unwrap());
    let at = Path::from("tenants/acme-toys/raw/one");
    let unknown = store.put(&at, PutPayload::from_static(b"x")).await.unwrap_err();
    assert!(unknown.to_string().contains("before the key of tenant acme-toys is known"), "{unknown}");

    for tenant in [&acme, &globex] {
        store.assign(tenant, &keys.create_key(tenant).await.unwrap());
    }
    let other = Path::from("tenants/globex-tools/raw/one");
    // By put, by parts and by copy.
    let mut upload = store.put_multipart(&at).await.unwrap();
    upload.put_part(PutPayload::from(vec![1; 5 << 20])).await.unwrap();
    upload.put_part(PutPayload::from(vec![2; 100])).await.unwrap();
    upload.complete().await.unwrap();
    let copied = Path::from("tenants/acme-toys/raw/copied");
    store.copy_if_not_exists(&at, &copied).await.unwrap();
    store.put(&other, PutPayload::from_static(b"theirs")).await.unwrap();
    let key_of = |path: &Path| {
        let answer = aws.ask("HEAD", &format!("/{}/{}", store.place.bucket, store.full_path(path)), &[], "");
        let header = answer.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("x-amz-server-side-encryption-aws-kms-key-id: ").map(str::to_owned)
        });
        // With a bucket key S3 would name the bucket to the key service, where the key's policy asks for the object.
        assert!(!answer.to_ascii_lowercase().contains("bucket-key-enabled: true"), "{answer}");
        header.expect("encrypted under a key")
    };
    let [own, own_copy, theirs] = [&at, &copied, &other].map(key_of);
    assert_eq!(own, own_copy);
    assert_ne!(own, theirs);

    keys.disable(&KeyId(own)).await.unwrap();
    for path in [&at, &copied] {
        let refused = Error::from(store.get(path).await.unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    }
    let refused = Error::from(store.put(&at, PutPayload::from_static(b"x")).await.unwrap_err());
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    assert_eq!(store.get(&other).await.unwrap().bytes().await.unwrap().as_ref(), b"theirs");
    let context = EncryptionContext::new(&globex, "raw");
    assert!(keys.encrypt(&KeyId(theirs), b"x", &context).await.is_ok());
}

#[tokio::test]
async fn a_large_file_of_a_table_is_uploaded_in_parts_that_s3_takes() {
    let Some((store, keys)) = of_tests(false).await else { return };
    let acme = "acme-toys".parse().unwrap();
    store.assign(&acme, &keys.create_key(&acme).await.unwrap());
    let (objects, root) = store.clone().opened().await.unwrap();
    let io = crate::lake::storage::file_io(objects, &root);
    let location = format!("{root}/tenants/acme-toys/warehouse/large");
    let mut written = vec![0; 12 << 20];
    crate::seal::cipher::fill_random(&mut written);
    let mut writer = io.new_output(&location).unwrap().writer().await.unwrap();
    for chunk in written.chunks(300_000) {
        writer.write(chunk.to_vec().into()).await.unwrap();
    }
    writer.close().await.unwrap();
    assert!(io.new_input(&location).unwrap().read().await.unwrap() == written);
    let found = store.head(&Path::from("tenants/acme-toys/warehouse/large")).await.unwrap();
    assert!(found.e_tag.as_deref().is_some_and(|tag| tag.ends_with("-3\"")), "{:?}", found.e_tag);
    // And one that nobody closes leaves no object.
    let left = format!("{root}/tenants/acme-toys/warehouse/left");
    let mut writer = io.new_output(&left).unwrap().writer().await.unwrap();
    writer.write(written.into()).await.unwrap();
    drop(writer);
    assert!(!io.exists(&left).await.unwrap());
}

#[tokio::test]
async fn unfinished_uploads_are_ended_when_they_are_old() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let store = lake(aws, PLAIN, false).await;
    let (folder, beside) = (Path::from("tenants/acme-toys"), Path::from("tenants/acme-toys-two"));
    for path in [folder.clone().join("raw"), folder.clone().join("warehouse"), beside.clone().join("raw")] {
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part(PutPayload::from_static(b"a part")).await.unwrap();
    }
    let now = SystemClock.now();
    assert_eq!(store.end_uploads(&folder, now - TimeDelta::hours(1), false).await.unwrap(), 0, "they are young");
    let later = now + TimeDelta::hours(1);
    assert_eq!(store.end_uploads(&folder, later, true).await.unwrap(), 2);
    assert_eq!(store.end_uploads(&folder, later, false).await.unwrap(), 2, "a dry run ended none");
    assert_eq!(store.end_uploads(&folder, later, false).await.unwrap(), 0);
    assert_eq!(store.end_uploads(&beside, later, false).await.unwrap(), 1, "another tenant's is another's");
}

#[tokio::test]
async fn a_lock_is_seen_and_its_absence_is() {
    let Some(aws) = PrivateAws::localstack() else { return };
    lake(aws, PLAIN, true).await.check_lock().await.unwrap();
    let refused = lake(aws, PLAIN, false).await.check_lock().await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Setup && refused.to_string().contains("compliance mode"), "{refused}");
}

/// What is written once is kept by the server itself, each object from the answer to its writing on; the rest may go.
async fn keeps_what_is_written_once(store: &S3) {
    store.check_lock().await.unwrap();
    let of = |path: &str| Path::from(format!("tenants/acme-toys/{path}"));
    let (staging, raw, note, segment, table) =
        (of("raw/staging/one"), of("raw/9f86d0"), of("raw/notes/9f86d0"), of("audit/1-2"), of("warehouse/es_001/data"));
    store.put(&staging, PutPayload::from_static(b"sealed")).await.unwrap();
    store.copy_if_not_exists(&staging, &raw).await.unwrap();
    for path in [&note, &segment, &table] {
        store.put_opts(path, PutPayload::from_static(b"sealed"), create()).await.unwrap();
    }
    for (path, is_kept) in [(&staging, false), (&raw, true), (&note, true), (&segment, true), (&table, false)] {
        assert_eq!(store.is_retained(path).await.unwrap(), is_kept, "{path}");
        let version = store.head(path).await.unwrap().version.expect("a bucket with versions");
        let (status, _) = store.ask("DELETE", Some(&store.full_path(path)), &[("versionId", &version)], "").await.unwrap();
        assert_eq!(status == 403, is_kept, "{path}: the server answered {status} to a deletion");
    }
    // A crash came before the retention: the next sweep gives it, once, and to nothing that it need not look at.
    let late = of("raw/late");
    store.base.put(&late, PutPayload::from_static(b"sealed")).await.unwrap();
    let (now, folder) = (SystemClock.now(), of(""));
    let restored = of("raw/restored-in-parts");
    store.put(&restored, PutPayload::from_static(b"sealed")).await.unwrap();
    assert!(!store.is_retained(&restored).await.unwrap());
    for path in [&restored, &restored, &table] {
        store.retain_once(path.as_ref()).await.unwrap();
    }
    assert!(store.is_retained(&restored).await.unwrap() && !store.is_retained(&table).await.unwrap());
    assert_eq!(store.retain_young(&folder, now + TimeDelta::hours(1), false).await.unwrap(), 0, "none is that young");
    assert_eq!(store.retain_young(&folder, now - TimeDelta::hours(1), true).await.unwrap(), 1);
    assert!(!store.is_retained(&late).await.unwrap(), "a dry run");
    assert_eq!(store.retain_young(&folder, now - TimeDelta::hours(1), false).await.unwrap(), 1);
    assert_eq!(store.retain_young(&folder, now - TimeDelta::hours(1), false).await.unwrap(), 0);
    assert!(store.is_retained(&late).await.unwrap());
}

#[tokio::test]
async fn what_is_written_once_is_kept_by_the_server() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let usage = Use { retain: Some(std::time::Duration::from_secs(2 * 24 * 60 * 60)), ..PLAIN };
    let at = async |bucket: String| S3::open(&format!("s3://{bucket}/some/lake"), account(&aws.endpoint).await, usage).unwrap();
    keeps_what_is_written_once(&at(aws.lockable_bucket("lake")).await).await;
    let without = at(aws.bucket("lake", false)).await;
    let refused = without.check_lock().await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Setup && refused.to_string().contains("aws.retain"), "{refused}");
    // Where the server refuses the retention, the writing is no success.
    let path = Path::from("tenants/acme-toys/raw/9f86d0");
    let refused = without.put_opts(&path, PutPayload::from_static(b"sealed"), create()).await.unwrap_err();
    assert!(Error::from(refused).kind() == ErrorKind::Setup);
    let again = without.put_opts(&path, PutPayload::from_static(b"sealed"), create()).await.unwrap_err();
    assert!(!matches!(again, object_store::Error::AlreadyExists { .. }), "what is not kept was answered for: {again}");

    // It is there and its retention is not: whoever tries again gives it, by whichever way.
    let store = at(aws.lockable_bucket("lake")).await;
    for (name, by_copy) in [("one", false), ("two", true)] {
        let path = Path::from(format!("tenants/acme-toys/raw/{name}"));
        store.base.put(&path, PutPayload::from_static(b"sealed")).await.unwrap();
        let again = match by_copy {
            true => store.copy_if_not_exists(&path, &path).await,
            false => store.put_opts(&path, PutPayload::from_static(b"sealed"), create()).await.map(|_| ()),
        };
        assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
        assert!(store.is_retained(&path).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let store = S3::open("s3://no-such-bucket-here/lake", account(&aws.endpoint).await, PLAIN).unwrap();
    let error = store.honours().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Setup && error.to_string().contains("bucket"), "{error}");
    let listed = store.list(None).try_collect::<Vec<_>>().await;
    assert!(listed.is_err());

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = S3::open("s3://some-bucket/lake", account(&format!("http://{free}")).await, PLAIN).unwrap();
    let error = away.check_lock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}

/// A new bucket at Ceph's gateway, which takes signed requests only.
pub(crate) async fn at_ceph(versioned: bool) -> Option<Arc<S3>> {
    let ceph = PrivateAws::ceph()?;
    let name = format!("s3://lake-{}/some/lake", uuid::Uuid::new_v4().simple());
    let store = S3::open(&name, account(&ceph.endpoint).await, PLAIN).unwrap();
    send(&store, "PUT", &[], "").await;
    if versioned {
        let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        send(&store, "PUT", &[("versioning", "")], body).await;
    }
    Some(Arc::new(store))
}

async fn send(store: &S3, method: &str, query: &[(&str, &str)], body: &str) {
    let request = store.request(method, None, query, body).await.unwrap();
    let answer = store.http.execute(request).await.unwrap();
    let (status, text) = (answer.status(), answer.into_body().bytes().await.unwrap());
    assert!(status.is_success(), "{method} {query:?}: {status} {}", String::from_utf8_lossy(&text));
}

#[tokio::test]
async fn what_is_written_once_is_kept_by_a_real_server_too() {
    let Some(ceph) = PrivateAws::ceph() else { return };
    let usage = Use { retain: Some(std::time::Duration::from_secs(2 * 24 * 60 * 60)), ..PLAIN };
    let name = format!("s3://lake-{}/some/lake", uuid::Uuid::new_v4().simple());
    let store = S3::open(&name, account(&ceph.endpoint).await, usage).unwrap();
    let mut request = store.request("PUT", None, &[], "").await.unwrap();
    request.headers_mut().insert("x-amz-bucket-object-lock-enabled", object_store::HeaderValue::from_static("true"));
    let answer = store.http.execute(request).await.unwrap();
    assert!(answer.status().is_success());
    keeps_what_is_written_once(&store).await;
}

/// What the fallback is for: a real server that takes a condition and does not look.
#[tokio::test]
async fn what_a_real_server_ignores_is_found_out() {
    let Some(store) = at_ceph(false).await else { return };
    let plain = store.honours().await.unwrap();
    assert!(plain.put && !plain.copy, "{plain:?}");
    let versioned = at_ceph(true).await.unwrap();
    let seen = versioned.honours().await.unwrap();
    assert_eq!(seen, Honours { put: false, copy: false });
    for store in [store, versioned] {
        let (from, to) = (Path::from("tenants/acme-toys/one"), Path::from("tenants/acme-toys/two"));
        store.put_opts(&from, PutPayload::from_static(b"first"), create()).await.unwrap();
        let again = store.put_opts(&from, PutPayload::from_static(b"second"), create()).await;
        assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
        store.copy_if_not_exists(&from, &to).await.unwrap();
        assert!(matches!(store.copy_if_not_exists(&from, &to).await, Err(object_store::Error::AlreadyExists { .. })));
        assert_eq!(store.get(&to).await.unwrap().bytes().await.unwrap().as_ref(), b"first");
        let mut left = store.put_multipart(&to).await.unwrap();
        left.put_part(PutPayload::from_static(b"a part")).await.unwrap();
        let later = SystemClock.now() + TimeDelta::hours(1);
        assert_eq!(store.end_uploads(&Path::from("tenants/acme-toys"), later, false).await.unwrap(), 1);
        assert_eq!(store.end_uploads(&Path::from("tenants/acme-toys"), later, false).await.unwrap(), 0);
    }
}

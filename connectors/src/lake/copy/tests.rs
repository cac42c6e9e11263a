//! Objects that are brought into a store: in one request or in parts, whole and as they were, or not at all.

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use super::{PART_BYTES, Stored, bring, record, recorded_root_in, sha256};
use crate::{error::ErrorKind, lake::s3_of_tests};

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// A store that holds the object, and how it is told of.
async fn backup(path: &str, bytes: &[u8]) -> (InMemory, Stored) {
    let store = InMemory::new();
    store.put(&Path::from(path), bytes.to_vec().into()).await.unwrap();
    (store, Stored { path: path.to_owned(), size_bytes: bytes.len() as u64, sha256: sha256(bytes) })
}

async fn brought_whole_or_not_at_all(to: &dyn ObjectStore, folder: &str) {
    for (name, length) in [("none", 0), ("small", 100), ("a-part", PART_BYTES), ("in-parts", 2 * PART_BYTES + 7)] {
        let (path, whole) = (format!("{folder}/{name}"), bytes(length));
        let at = Path::from(path.as_str());
        let (from, stored) = backup(&path, &whole).await;
        // Another digest, a shorter and a longer one than is told of: nothing is left.
        let mut odd = vec![
            Stored { sha256: sha256(b"else"), ..stored.clone() },
            Stored { size_bytes: stored.size_bytes + 1, ..stored.clone() },
        ];
        if length > 0 {
            odd.push(Stored { size_bytes: stored.size_bytes - 1, ..stored.clone() });
        }
        for odd in odd {
            let refused = bring(&from, &odd, to).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Damaged, "{refused}");
            assert!(refused.to_string().contains(name), "{refused}");
            assert!(matches!(to.head(&at).await, Err(object_store::Error::NotFound { .. })), "{name} was left");
        }
        bring(&from, &stored, to).await.unwrap();
        assert_eq!(to.get(&at).await.unwrap().bytes().await.unwrap(), whole);
        // Once more is nothing more; what is there and differs is told.
        bring(&InMemory::new(), &stored, to).await.unwrap();
        let other = bring(&from, &Stored { sha256: sha256(b"else"), ..stored.clone() }, to).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Damaged, "{other}");
    }
    let (_, stored) = backup(&format!("{folder}/gone"), b"x").await;
    let missing = bring(&InMemory::new(), &stored, to).await.unwrap_err();
    assert!(missing.to_string().contains("is missing"), "{missing}");
}

#[tokio::test]
async fn an_object_is_brought_whole_or_not_at_all() {
    brought_whole_or_not_at_all(&InMemory::new(), "tenants/acme-toys").await;
}

#[tokio::test]
async fn and_so_it_is_into_a_bucket() {
    let Some((bucket, keys)) = s3_of_tests(true).await else { return };
    let acme = "acme-toys".parse().unwrap();
    bucket.assign(&acme, &keys.create_key(&acme).await.unwrap());
    brought_whole_or_not_at_all(bucket.as_ref(), "tenants/acme-toys/warehouse").await;
}

#[tokio::test]
async fn the_root_of_a_restored_lake_is_read_as_it_was_written_or_refused() {
    let store = InMemory::new();
    assert_eq!(recorded_root_in(&store, "here").await.unwrap(), None);
    record(&store, super::ROOT_FILE, "s3://acme/lake").await.unwrap();
    assert_eq!(recorded_root_in(&store, "here").await.unwrap().as_deref(), Some("s3://acme/lake"));
    assert!(record(&store, super::ROOT_FILE, "s3://acme/other").await.is_err(), "it was written over");
    for odd in ["", "s3://acme/lake", "no url\n", &format!("s3://acme/{}\n", "x".repeat(5000))] {
        let store = InMemory::new();
        store.put(&Path::from(super::ROOT_FILE), odd.to_owned().into()).await.unwrap();
        assert_eq!(recorded_root_in(&store, "here").await.unwrap_err().kind(), ErrorKind::Damaged, "{odd}");
    }
}

use super::*;
use crate::ErrorKind;

async fn asked(ring: &KeyRing, path: &str) -> crate::Result<Option<Arc<FileDecryptionProperties>>> {
    Ok(ring.get_file_decryption_properties(&EncryptionFactoryOptions::default(), &Path::from(path)).await?)
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::default();
    let metadata = StandardKeyMetadata::new(&[7; 32]).with_aad_prefix(b"prefix").encode().unwrap();
    ring.add(&Path::from("a.parquet"), Some(&metadata)).unwrap();
    ring
}

#[tokio::test]
async fn a_file_of_the_scan_has_its_key() {
    let properties = asked(&ring(), "a.parquet").await.unwrap().unwrap();
    assert_eq!(properties.footer_key(None).unwrap().as_slice(), &[7; 32]);
}

#[tokio::test]
async fn a_file_outside_the_scan_is_an_error_and_not_plaintext() {
    assert_eq!(asked(&ring(), "b.parquet").await.unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_file_without_key_metadata_is_an_error() {
    let mut ring = KeyRing::default();
    assert_eq!(ring.add(&Path::from("a.parquet"), None).unwrap_err().kind(), ErrorKind::Damaged);
    assert!(ring.add(&Path::from("a.parquet"), Some(b"not a key")).is_err());
}

#[tokio::test]
async fn a_ring_does_not_write() {
    let schema = Arc::new(datafusion::arrow::datatypes::Schema::empty());
    let asked =
        ring().get_file_encryption_properties(&EncryptionFactoryOptions::default(), &schema, &Path::from("a.parquet")).await;
    assert_eq!(crate::Error::from(asked.unwrap_err()).kind(), ErrorKind::Refused);
}

#[test]
fn keys_do_not_print() {
    assert_eq!(format!("{:?}", ring()), "KeyRing(1 files)");
}

//! The one place a session can read from: the lake's object store.
//! Promise: every other URL, a local file's included, has no store behind it.

use std::sync::Arc;

use datafusion::{
    common::Result as DataFusionResult, datasource::object_store::ObjectStoreUrl, execution::object_store::ObjectStoreRegistry,
};
use object_store::{ObjectStore, path::Path};

use crate::error::{Error, Result};

const LAKE_URL: &str = "bonded://lake/";

/// The name under which scans know the lake's store.
pub(crate) fn store_url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse(LAKE_URL).expect("a scheme and a host are all it needs")
}

/// Knows one store and no other.
#[derive(Debug)]
pub(crate) struct OnlyTheLake(pub(crate) Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OnlyTheLake {
    fn register_store(&self, _: &url::Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        // Nobody registers another; whoever tries gets his own back.
        Some(store)
    }

    fn get_store(&self, url: &url::Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        if url.as_str().trim_end_matches('/') == LAKE_URL.trim_end_matches('/') {
            Ok(self.0.clone())
        } else {
            Err(Error::refused("a session reads its own tables only").into())
        }
    }
}

/// The lake's root URL, to turn a table's file location into an object path.
#[derive(Clone, Debug)]
pub(crate) struct LakeRoot(String);

impl LakeRoot {
    pub(crate) fn new(url: &str) -> Self {
        let mut url = url.to_owned();
        if !url.ends_with('/') {
            url.push('/');
        }
        Self(url)
    }

    /// `file:///srv/lake/tenants/a/x.parquet` under `file:///srv/lake` is `tenants/a/x.parquet`.
    pub(crate) fn object_path(&self, location: &str) -> Result<Path> {
        location
            .strip_prefix(&self.0)
            .and_then(|rest| Path::parse(rest).ok())
            .filter(|path| !path.as_ref().is_empty())
            .ok_or_else(|| Error::damaged("a table names a file outside the lake").with_context("location", location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_under_the_root_becomes_a_path() {
        for root in ["file:///srv/lake", "file:///srv/lake/"] {
            let path = LakeRoot::new(root).object_path("file:///srv/lake/tenants/a/warehouse/es_003/data/x.parquet").unwrap();
            assert_eq!(path.as_ref(), "tenants/a/warehouse/es_003/data/x.parquet");
        }
        let path = LakeRoot::new("memory:///").object_path("memory:///tenants/a/x.parquet").unwrap();
        assert_eq!(path.as_ref(), "tenants/a/x.parquet");
    }

    #[test]
    fn a_location_elsewhere_is_refused() {
        let root = LakeRoot::new("file:///srv/lake");
        for location in
            ["file:///srv/lakes/x", "file:///etc/passwd", "file:///srv/lake/", "file:///srv/lake/a/../../b", "s3://b/x"]
        {
            assert!(root.object_path(location).is_err(), "{location}");
        }
    }

    #[test]
    fn no_store_stands_behind_another_url() {
        let registry = OnlyTheLake(crate::testing::store());
        assert!(registry.get_store(&url::Url::parse("bonded://lake/").unwrap()).is_ok());
        for url in ["file:///", "file:///etc/passwd", "s3://bucket/", "bonded://other/", "https://example.com/"] {
            assert!(registry.get_store(&url::Url::parse(url).unwrap()).is_err(), "{url}");
        }
    }
}

//! The architecture's invariants, written as absences and checked against the sources.

use std::path::{Path, PathBuf};

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut found = Vec::new();
    let mut open = vec![root.join(room)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("listable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "toml") {
                let text = std::fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {room}");
    found
}

fn absent(rooms: &[&str], words: &[&str], why: &str) {
    for room in rooms {
        for (path, text) in sources(room) {
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for word in words {
                    assert!(!line.contains(word), "{why}: `{word}` in {}: {}", path.display(), line.trim());
                }
            }
        }
    }
}

#[test]
fn schemas_do_no_io() {
    let words = ["std::fs", "std::net", "std::env", "tokio", "async fn", "object_store", "Utc::now", "SystemTime::now"];
    absent(&["schemas/src"], &words, "schemas does no I/O and no async");
}

#[test]
fn only_connectors_name_what_we_do_not_own() {
    let words =
        ["sqlx", "aws_", "LocalFileSystem", "InMemory", "object_store::aws", "object_store::local", " ring::", "argon2::"];
    absent(&["schemas/src", "queries/src", "engine/src"], &words, "only connectors names stores, KMS and SQL drivers");
}

#[test]
fn only_queries_name_datafusion() {
    absent(&["schemas/src", "connectors/src", "engine/src"], &["datafusion", "polars"], "only queries names the query engines");
}

#[test]
fn connectors_and_queries_never_meet() {
    absent(&["connectors"], &["bonded-queries", "bonded_queries"], "connectors knows no question");
    absent(&["queries"], &["bonded-connectors", "bonded_connectors"], "queries knows no door");
}

#[test]
fn the_second_opinion_shares_no_parsing_and_no_typing_with_the_main_path() {
    let attest = || sources("queries/src/attest").into_iter().chain([read("queries/src/attest.rs")]);
    let code =
        |text: &str| text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect::<Vec<_>>();
    let mut polars_in = Vec::new();
    for (path, text) in attest().chain([read("engine/src/attest.rs")]) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let tests = name == "tests.rs";
        for line in code(&text) {
            // The straight line, the tables' reader, the binding of the main path, any other reader of CSV.
            for word in ["ingest", "provider", "drift", "csv_async", "arrow::csv", "arrow_csv", "RowReader", "typed_column"] {
                let of_the_double = tests && line.contains("table_provider");
                assert!(!line.contains(word) || of_the_double, "attest names `{word}` in {}: {}", path.display(), line.trim());
            }
            // What reads the bytes knows no other engine.
            if ["recount.rs", "typing.rs", "scan.rs", "placing.rs"].contains(&name.as_str()) {
                for word in ["datafusion", "arrow::", "parquet", "crate::session", "crate::reconcile"] {
                    assert!(!line.contains(word), "{} names `{word}`: {}", path.display(), line.trim());
                }
            }
            if line.contains("polars") {
                polars_in.push(name.clone());
            }
        }
    }
    assert!(polars_in.iter().any(|name| name == "recount.rs") && polars_in.iter().any(|name| name == "typing.rs"));
    for (path, text) in sources("queries/src").into_iter().filter(|(path, _)| !path.to_string_lossy().contains("/attest")) {
        for line in code(&text) {
            assert!(!line.contains("polars"), "only the second opinion names Polars: {}: {}", path.display(), line.trim());
        }
    }
}

#[test]
fn only_the_console_the_desk_and_the_mail_route_establish_a_scope() {
    for (path, text) in sources("engine/src").into_iter().chain(sources("connectors/src")).chain(sources("queries/src")) {
        let name = path.to_string_lossy().into_owned();
        if text.contains("TenantScope::establish") {
            let places = ["engine/src/console/mod.rs", "engine/src/desk/caller.rs", "engine/src/intake/route.rs"];
            let may = places.iter().any(|path| name.ends_with(path));
            assert!(may || name.contains("tests"), "{name} establishes a scope");
        }
    }
}

#[test]
fn raw_zone_and_audit_trail_have_no_update_and_no_delete() {
    for (path, text) in sources("connectors/src/raw").into_iter().chain([read("connectors/src/raw.rs")]) {
        if path.to_string_lossy().contains("tests") {
            continue;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(".delete(")) {
            assert!(line.contains("staging") || line.contains("staged"), "{}:{} deletes: {line}", path.display(), number + 1);
        }
    }
    let (path, text) = read("connectors/src/store/audit.rs");
    for word in ["UPDATE ", "DELETE "] {
        assert!(!text.contains(word), "{} has {word}", path.display());
    }
}

fn read(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(name);
    let text = std::fs::read_to_string(&path).expect("text");
    (path, text)
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for room in ["schemas/src", "connectors/src", "queries/src", "engine/src", "tests/it"] {
        for (path, text) in sources(room) {
            if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("/tests") {
                assert!(text.starts_with("//!"), "{} does not open with `//!`", path.display());
            }
        }
    }
}

#[test]
fn only_the_api_knows_http() {
    let words = ["axum", "tower", "hyper", "utoipa", "StatusCode", "Set-Cookie"];
    for (path, text) in sources("engine/src") {
        let is_api = path.components().any(|part| part.as_os_str() == "api") || path.ends_with("engine/src/api.rs");
        for line in text.lines().filter(|line| !is_api && !line.trim_start().starts_with("//")) {
            assert!(
                !words.iter().any(|word| line.contains(word)),
                "HTTP outside of the api, in {}: {}",
                path.display(),
                line.trim()
            );
        }
    }
}

/// In `/openapi.json` a type is known by its name alone: the second of two would silently stand for both.
#[test]
fn no_two_types_of_the_api_have_one_name() {
    let mut names = std::collections::HashMap::new();
    for (path, text) in sources("engine/src/api/routes") {
        for line in text.lines() {
            let Some(name) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum ")) else { continue };
            let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
            if let Some(other) = names.insert(name.clone(), path.clone()) {
                panic!("{name} stands in {} and {}", path.display(), other.display());
            }
        }
    }
}

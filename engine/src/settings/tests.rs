use std::io::Write;

use super::*;

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(toml.as_bytes()).expect("it can be written");
    Settings::load(Some(file.path()), environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn the_environment_lies_over_the_file_and_the_file_over_the_defaults() {
    let settings =
        load("lake = \"a\"\n[ingest]\nbatch_rows = 7\n", &[("BONDED_INGEST_BATCH_ROWS", "9"), ("BONDED_KEYS_DIR", "k")]);
    let settings = settings.expect("well formed");
    assert_eq!((settings.lake.as_str(), settings.ingest.batch_rows), ("a", 9));
    assert_eq!(settings.keys.dir, Some(PathBuf::from("k")));
    assert_eq!(settings.query.rows_max, QuerySettings::default().rows_max);
}

#[test]
fn unknown_keys_wrong_types_and_impossible_values_are_refused_by_name() {
    for (toml, environment, named) in [
        ("lak = \"a\"", vec![], "lak"),
        ("[ingest]\nrows = 1", vec![], "rows"),
        ("", vec![("BONDED_INGEST_BATCH_ROWS", "many")], "batch_rows"),
        ("[query]\ntime_max = \"soon\"", vec![], "time_max"),
        ("[ingest]\nbatch_rows = 0", vec![], "batch_rows"),
        ("[ingest.unpack]\nratio = 5", vec![], "ratio"),
        ("[ingest.unpack]\ndepth_max = 0", vec![], "depth_max"),
        ("[serve]\nlease = \"long\"", vec![], "serve.lease"),
        ("[serve]\nleases_max = 0", vec![], "leases_max"),
        ("[uploads]\nage_max = \"25h\"", vec![], "uploads.age_max"),
        ("[uploads]\npiece_bytes_max = 1024", vec![], "uploads.piece_bytes_max"),
        ("[maintain]\norphan_grace = \"23h\"", vec![], "orphan_grace"),
        ("[desk]\npassword_cost = 11", vec![], "password_cost"),
        ("[desk]\nsession_max = \"never\"", vec![], "desk.session_max"),
        ("[desk]\ncode_tries_max = 0", vec![], "code_tries_max"),
        ("[mail]\ntime_max = \"0s\"", vec![], "mail.time_max"),
        ("", vec![("BONDED_DESK_PASSWORD_COST", "4")], "password_cost"),
        ("[maintain]\nsnapshot_age_max = \"soon\"", vec![], "snapshot_age_max"),
        ("[maintain]\nsnapshots_min = 0", vec![], "snapshots_min"),
        ("[oidc]\naudience = \"lake\"", vec![], "oidc.issuer"),
        ("[oidc]\nissuer = \"https://idp.example\"", vec![], "oidc.client_id"),
        ("[oidc]\nissuer = \"http://idp.example\"\naudience = \"lake\"", vec![], "oidc.issuer"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\nskew = \"6m\"", vec![], "oidc.skew"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\nclient_id = \"a\"", vec![], "oidc.audience"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\ncognito = true", vec![], "oidc.cognito"),
        ("[oidc]\nissuer = \"https://idp.example\"\ncognito = true", vec![], "oidc.clients"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\nclients = [\"b\"]", vec![], "oidc.clients"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\ntenant_claim = \"email\"", vec![], "oidc.tenant_claim"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\njwks_uri = \"ftp://idp.example\"", vec![], "oidc.jwks_uri"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\ntoken_endpoint = \"https://a\"", vec![], "together"),
        ("[oidc]\nissuer = \"https://idp.example\"\naudience = \"a\"\nkeys_stale_max = \"1m\"", vec![], "keys_stale_max"),
        ("[oidc]\nissuer = \"https://idp.example\"\nclient_id = \"a\"\nscopes = [\"email\"]", vec![], "oidc.scopes"),
    ] {
        let error = load(toml, &environment).expect_err(toml);
        assert_eq!(error.kind(), crate::error::ErrorKind::Setup);
        assert!(error.to_string().contains(named) || named == "batch_rows", "{error}");
    }
}

#[test]
fn the_environment_reaches_a_group_within_a_group() {
    let environment = [("BONDED_INGEST_UNPACK_RATIO_MAX", "7"), ("BONDED_INGEST_UNPACK_NOTHING", "1")];
    let settings = load("[ingest.unpack]\ndepth_max = 1\n", &environment).expect("well formed");
    let unpack = UnpackSettings { ratio_max: 7, depth_max: 1, ..UnpackSettings::default() };
    assert_eq!(settings.ingest.unpack, unpack);
}

#[test]
fn keys_lie_beside_the_lake_and_never_in_it() {
    let settings = Settings { lake: "/srv/lake".into(), ..Settings::default() };
    assert_eq!(settings.keys_dir().expect("a sibling"), PathBuf::from("/srv/lake.keys"));
}

#[test]
fn a_literal_secret_is_refused_without_being_shown() {
    let error = secret("hunter2").expect_err("a literal");
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn the_files_in_config_load_and_the_default_one_is_the_default() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config");
    for file in ["default.toml", "dev.toml", "test.toml", "prod.example.toml"] {
        let settings = Settings::load(Some(&config.join(file)), std::iter::empty()).expect(file);
        if file == "default.toml" {
            assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
        }
    }
}

#[test]
fn letters_lie_beside_the_lake_until_a_folder_or_a_server_is_named() {
    let settings = Settings { lake: "/srv/lake".into(), ..Settings::default() };
    assert_eq!(settings.outbox_dir().expect("a sibling"), PathBuf::from("/srv/lake.outbox"));
    let settings = load("", &[("BONDED_MAIL_OUTBOX", "/srv/letters"), ("BONDED_MAIL_SMTP", "env:NAME")]).expect("well formed");
    assert_eq!(settings.outbox_dir().expect("as set"), PathBuf::from("/srv/letters"));
    assert_eq!(settings.mail.smtp.as_deref(), Some("env:NAME"));
}

#[test]
fn an_identity_provider_is_named_by_file_or_environment_and_its_secret_only_by_reference() {
    let environment = [("BONDED_OIDC_ISSUER", "https://idp.example/realm"), ("BONDED_OIDC_AUDIENCE", "bonded")];
    let settings = load("[oidc]\nclient_id = \"desk\"\nclient_secret = \"hunter2\"\n", &environment).expect("well formed");
    let clock = std::sync::Arc::new(bonded_connectors::clock::SystemClock);
    let error = settings.oidc.provider(clock.clone()).expect_err("a literal secret");
    assert!(!error.to_string().contains("hunter2"), "{error}");

    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "hunter2\n").expect("it can be written");
    let named = OidcSettings { client_secret: Some(format!("file:{}", file.path().display())), ..settings.oidc };
    let provider = named.provider(clock.clone()).expect("sound").expect("set");
    assert!(!format!("{provider:?}").contains("hunter2"), "{provider:?}");
    let absent = OidcSettings { authorities: Some("/nowhere/authorities.pem".into()), ..named };
    assert!(absent.provider(clock.clone()).expect_err("no such file").to_string().contains("oidc.authorities"));
    assert!(OidcSettings::default().provider(clock).expect("nothing to do").is_none());
}

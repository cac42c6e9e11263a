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
        ("[ses]\nprefix = \"inbound\"", vec![], "ses.prefix"),
        ("[ses]\nbucket = \"nordwind-mail\"", vec![], "ses.queue_url"),
        ("[ses]\nat_once = 0", vec![], "ses.at_once"),
        ("", vec![("BONDED_SES_VISIBILITY", "2s")], "ses.visibility"),
        ("[alerts]\nwebhook_time_max = \"121s\"", vec![], "alerts.webhook_time_max"),
        ("", vec![("BONDED_DESK_PASSWORD_COST", "4")], "password_cost"),
        ("[aws]\nretain = \"23h\"", vec![], "aws.retain"),
        ("[aws]\nretain = \"3654d\"", vec![], "aws.retain"),
        ("[maintain]\nsnapshot_age_max = \"soon\"", vec![], "snapshot_age_max"),
        ("[maintain]\nsnapshots_min = 0", vec![], "snapshots_min"),
        ("[keys]\nrotation_days = 89", vec![], "keys.rotation_days"),
        ("[keys]\nrotation_days = 2561", vec![], "keys.rotation_days"),
        ("[keys]\npolicy = \"key.json\"", vec![], "keys.policy"),
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

/// Of `config/default.toml`, which has every key: `# passphrase = "env:NAME"` under `[keys]` is `keys.passphrase`.
fn default_file() -> Vec<(String, String)> {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config");
    let text = std::fs::read_to_string(config.join("default.toml")).expect("there");
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in text.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            section = format!("{name}.");
        } else if let Some((key, value)) = line.split_once(" = ")
            && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        {
            found.push((format!("{section}{key}"), value.trim().to_owned()));
        }
    }
    assert!(found.len() > 100, "{found:?}");
    found
}

#[test]
fn every_setting_that_names_a_secret_is_in_the_one_list_and_takes_each_way_of_naming_and_no_literal() {
    let is_named = |value: &str| ["\"env:", "\"file:", "\"secret:"].iter().any(|way| value.starts_with(way));
    let named: Vec<String> =
        default_file().into_iter().filter(|(_, value)| is_named(value)).map(|(setting, _)| setting).collect();
    let mut listed: Vec<String> = SECRETS.iter().map(|setting| (*setting).to_owned()).collect();
    let mut sorted = named.clone();
    sorted.sort();
    listed.sort();
    assert_eq!(sorted, listed, "config/default.toml and settings::SECRETS tell of other secrets");
    for setting in &named {
        let (section, key) = setting.split_once('.').expect("in a section");
        let rest = if section == "oidc" { "issuer = \"https://idp.example\"\nclient_id = \"desk\"\n" } else { "" };
        let of = |text: &str| load(&format!("[{section}]\n{rest}{key} = \"{text}\"\n"), &[]);
        for way in ["file:/run/secrets/x", "env:X", "secret://aws/bonded/app/x#url"] {
            let settings = of(way).unwrap_or_else(|error| panic!("{setting}: {error}"));
            assert!(settings.named_secrets().contains(&(setting.as_str(), way)), "{setting} is not read as a secret");
        }
        for literal in ["walrus7", "postgres://desk:walrus7@db.example/bonded", "secret://vault/walrus7"] {
            let error = of(literal).expect_err(setting).to_string();
            assert!(error.contains(setting.as_str()) && !error.contains("walrus7"), "{error}");
        }
    }
}

#[test]
fn a_credential_anywhere_in_the_settings_is_refused_by_the_settings_name_alone() {
    let (id, key) = (format!("AKIA{}", "WALRUSWALRUSWALR"), format!("wa1rus{}", "wa1rusWA1RUS/wa1rusWA1RUS+wa1rusWA"));
    let pem = format!("-----BEGIN {}-----\\nwa1rus", "PRIVATE KEY");
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.wa1rus", "eyJzdWIiOiJ3YTFydXMifQwa1ruswa1rus");
    for (toml, named) in [
        ("lake = \"https://desk:wa1rus@lake.example\"".to_owned(), "lake"),
        (format!("[aws]\nregion = \"{id}\""), "aws.region"),
        (format!("[aws]\nsecret_access_key = \"{key}\""), "aws.secret_access_key"),
        ("[mail]\npassword = \"wa1rus\"".to_owned(), "mail.password"),
        (format!("[mail]\nfrom = \"{pem}\""), "mail.from"),
        (format!("[oidc]\nclients = [\"one\", \"{token}\"]"), "oidc.clients"),
        (format!("[ingest.unpack]\nratio_max = \"{id}\""), "ingest.unpack.ratio_max"),
        // A slip of the pen on the line of a secret.
        ("[store]\npostgres = \"postgres://desk:wa1rus@db.example\n".to_owned(), "line 2"),
    ] {
        let error = load(&toml, &[]).expect_err(&toml).to_string();
        assert!(error.contains(named), "{error}");
        assert!(!error.to_lowercase().contains("wa1rus") && !error.contains("WALRUS"), "{error}");
    }
    let error = load("", &[("BONDED_DESK_URL", "https://desk:wa1rus@bonded.example")]).expect_err("of the environment, too");
    assert!(error.to_string().contains("desk.url") && !error.to_string().contains("wa1rus"), "{error}");
    // What only looks a little like one: a digest, a path, an ARN.
    for fine in ["0123456789abcdef0123456789abcdef01234567", "/srv/Bonded9/lake/Of/Nordwind/and/others1", "AKIA"] {
        load(&format!("lake = \"{fine}\""), &[]).expect(fine);
    }
}

#[test]
fn places_in_a_region_that_is_not_allowed_are_refused_by_their_setting() {
    for (toml, named) in [
        ("[aws]\nregion = \"eu-west-1\"", "aws.region"),
        ("[aws]\nendpoint = \"https://kms.eu-west-1.amazonaws.com\"", "aws.endpoint"),
        ("[aws]\nendpoint = \"https://objects.nordwind.example\"", "aws.endpoint"),
        ("[aws]\nregions_allowed = []", "aws.regions_allowed"),
        ("[oidc]\nissuer = \"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x\"\nclient_id = \"a\"", "oidc.issuer"),
        ("[mail]\nsmtp = \"secret://aws/arn:aws:secretsmanager:eu-west-1:123456789012:secret:smtp-AbCdEf\"", "mail.smtp"),
    ] {
        let error = load(toml, &[]).expect_err(toml).to_string();
        assert!(error.contains(named), "{error}");
        let widened = toml.replace("regions_allowed = []", "") + "\n";
        let allowed = "regions_allowed = [\"eu-west-1\", \"us-east-1\"]\n";
        let widened = match widened.strip_prefix("[aws]\n") {
            Some(rest) => format!("[aws]\n{allowed}{rest}"),
            None => format!("{widened}[aws]\n{allowed}"),
        };
        assert_eq!(load(&widened, &[]).is_ok(), !toml.contains("objects.nordwind"), "{widened}");
    }
    load("[aws]\nregion = \"us-west-2\"\nendpoint = \"http://127.0.0.1:4566\"", &[]).expect("an emulator");
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

#[tokio::test]
async fn an_identity_provider_is_named_by_file_or_environment_and_its_secret_only_by_reference() {
    let environment = [("BONDED_OIDC_ISSUER", "https://idp.example/realm"), ("BONDED_OIDC_AUDIENCE", "bonded")];
    let settings = load("[oidc]\nclient_id = \"desk\"\nclient_secret = \"env:UNSET_HERE\"\n", &environment).expect("well formed");
    let clock = std::sync::Arc::new(bonded_connectors::clock::SystemClock);
    let vault = settings.vault(clock.clone());
    let error = settings.oidc.provider(clock.clone(), &vault).await.expect_err("not set");
    assert!(error.to_string().contains("UNSET_HERE"), "{error}");

    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "hunter2\n").expect("it can be written");
    let named = OidcSettings { client_secret: Some(format!("file:{}", file.path().display())), ..settings.oidc };
    let provider = named.provider(clock.clone(), &vault).await.expect("sound").expect("set");
    assert!(!format!("{provider:?}").contains("hunter2"), "{provider:?}");
    let absent = OidcSettings { authorities: Some("/nowhere/authorities.pem".into()), ..named };
    assert!(absent.provider(clock.clone(), &vault).await.expect_err("no such file").to_string().contains("oidc.authorities"));
    assert!(OidcSettings::default().provider(clock, &vault).await.expect("nothing to do").is_none());
}

#[test]
fn a_policy_for_keys_is_looked_at_with_the_settings_that_it_asks_for() {
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/aws/policies/tenant-key.json");
    let roles = [
        ("BONDED_KEYS_APP_ROLE", "arn:aws:iam::111122223333:role/acme-app"),
        ("BONDED_KEYS_KEEPER_ROLE", "arn:aws:iam::111122223333:role/acme-keeper"),
        ("BONDED_KEYS_READER_ROLE", "arn:aws:iam::111122223333:role/acme-reader"),
        ("BONDED_KEYS_ACCOUNT_ID", "111122223333"),
    ];
    let toml = format!("[keys]\nprovider = \"aws\"\nlake = \"acme\"\npolicy = {template:?}\nrotation_days = 90");
    let making = load(&toml, &roles).expect("well formed").key_making().expect("filled whole");
    assert_eq!(making.rotation_days, 90);
    let policy = making.policy.expect("one is named").filled(&"acme-toys".parse().unwrap()).unwrap();
    assert!(policy.contains("acme-lake-111122223333-us-east-1/lake/tenants/acme-toys/*") && policy.contains("role/acme-reader"));
    for without in 0..roles.len() {
        let some: Vec<_> = roles.iter().enumerate().filter(|(at, _)| *at != without).map(|(_, role)| *role).collect();
        let refused = load(&toml, &some).expect("well formed").key_making().unwrap_err();
        let setting = roles[without].0.trim_start_matches("BONDED_KEYS_").to_ascii_lowercase();
        assert!(refused.to_string().contains(&format!("keys.{setting}")), "{refused}");
    }
    let gone = load("[keys]\nprovider = \"aws\"\npolicy = \"/nowhere/key.json\"", &roles).unwrap().key_making().unwrap_err();
    assert!(gone.to_string().contains("/nowhere/key.json"), "{gone}");
}

#[test]
fn a_store_of_objects_that_is_not_amazons_is_named_by_its_host() {
    let toml = |more: &str| format!("[aws]\ns3_endpoint = \"https://s3.acme.example:9000\"\nhosts_allowed = [{more}]");
    load(&toml("\"s3.acme.example\""), &[]).expect("named");
    for other in ["", "\"acme.example\"", "\"nas.acme.example\""] {
        assert!(load(&toml(other), &[]).unwrap_err().to_string().contains("aws.s3_endpoint"), "{other}");
    }
    let keys = load("[aws]\nkms_endpoint = \"https://s3.acme.example\"\nhosts_allowed = [\"s3.acme.example\"]", &[]);
    assert!(keys.unwrap_err().to_string().contains("aws.kms_endpoint"), "keys are asked for at AWS");
    assert!(load("[aws]\nhosts_allowed = [\"*.acme.example\"]", &[]).unwrap_err().to_string().contains("aws.hosts_allowed"));
    // TLS only, whoever is named.
    let plain = toml("\"s3.acme.example\"").replace("https:", "http:");
    assert!(load(&plain, &[]).is_err());
}

//! Social Security numbers stay out of every answer of the real binary, over the real encrypted tables.

use std::process::Output;

use crate::world::{TENANT, World};

const PERSON: &str = "000-12-3456";
const BARE: &str = "000123456";

fn world() -> World {
    let world = World::new();
    let rows = [
        format!("XZ910000013,01/05/2026,{PERSON},100.00,red"),
        format!("XZ910000021,01/06/2026,{PERSON},200.00,{PERSON}"),
        format!("XZ910000039,{PERSON},00-1234567AA,300.00,blue"),
        format!("XZ910000047,01/07/2026,{BARE},not {PERSON},blue"),
    ];
    let header = "Entry Summary Number,Entry Date,Importer Number,Total Goods Value Amount,Owner Reference";
    let file = world.file("ES-001.csv", format!("{header}\n{}\n", rows.join("\n")));
    world.ingest(TENANT, &[file]);
    world
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn no_command_shows_a_social_security_number_unless_settings_allow_it() {
    let world = world();
    let delivery = world.json(&["deliveries", "--tenant", TENANT])[0]["delivery_id"].as_str().unwrap().to_owned();
    let parquet = world.path("answer.parquet").display().to_string();
    let everything = "SELECT * FROM es_001";
    let commands: Vec<Vec<&str>> = vec![
        vec!["query", "--tenant", TENANT, everything],
        vec!["query", "--tenant", TENANT, "--format", "csv", everything],
        vec!["--json", "query", "--tenant", TENANT, everything],
        vec!["query", "--tenant", TENANT, "--format", "parquet", "--output", &parquet, everything],
        vec!["query", "--tenant", TENANT, "SELECT * FROM at('es_001', '2100-01-01')"],
        vec!["query", "--tenant", TENANT, "EXPLAIN VERBOSE SELECT * FROM es_001"],
        vec!["query", "--tenant", TENANT, "EXPLAIN ANALYZE SELECT max(importer_number) FROM es_001"],
        vec!["query", "--tenant", TENANT, "SELECT * FROM meta.rejects"],
        vec!["query", "--tenant", TENANT, "SELECT * FROM meta.warnings"],
        vec!["--json", "receipt", "--tenant", TENANT, &delivery],
        vec!["receipt", "--tenant", TENANT, &delivery],
        vec!["changes", "--tenant", TENANT, "--from", "2000-01-01"],
        vec!["--json", "cape", "--tenant", TENANT],
        vec!["drift", "--tenant", TENANT],
        vec!["reconcile", "--tenant", TENANT],
    ];
    for command in &commands {
        let told = said(&world.command(command).output().unwrap());
        assert!(!told.contains(PERSON) && !told.contains(BARE), "{command:?}\n{told}");
    }
    let written = std::fs::read(&parquet).unwrap();
    for secret in [PERSON, BARE] {
        assert!(!written.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
    }
    let mut allowed = world.command(&commands[0]);
    let told = said(&allowed.env("BONDED_DISPLAY_SHOW_SSN", "true").output().unwrap());
    assert!(told.contains(PERSON) && told.contains(BARE), "{told}");
}

#[test]
fn what_is_masked_is_the_same_in_every_answer_and_tells_two_persons_apart() {
    let world = world();
    let shown = "SELECT importer_number AS shown FROM es_001 WHERE importer_number LIKE '*%' ORDER BY entry_summary_number";
    let shown: Vec<String> =
        world.json(&["query", "--tenant", TENANT, shown]).iter().map(|row| row["shown"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown.len(), 3);
    assert!(shown[0].starts_with("***-**-3456~") && shown[0].len() == "***-**-3456~7f".len(), "{shown:?}");
    assert!(shown.iter().all(|one| one == &shown[0]), "dashes or none, it is one person: {shown:?}");
    let again = world.ask(TENANT, "SELECT count(*) AS rows FROM es_001 AS a JOIN es_001 AS b USING (importer_number)");
    assert_eq!(again["rows"], 3 * 3 + 1);
}

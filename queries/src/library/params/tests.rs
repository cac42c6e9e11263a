use datafusion::sql::parser::DFParser;

use super::*;

fn param(text: &str) -> Param {
    Param::read(text).unwrap()
}

fn bound(sql: &str, param: &Param, value: &str) -> Result<String> {
    let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
    let literal = param.literal(value).map_err(Error::input)?;
    bind(&mut statement, &Values::from([(param.name.clone(), literal)]))?;
    Ok(statement.to_string())
}

#[test]
fn a_value_becomes_a_literal_of_its_type_and_never_sql() {
    let text = param("who text = nobody; a name");
    let sql = "SELECT * FROM entry_lines WHERE line_spi = $who";
    assert!(bound(sql, &text, "x' OR '1' = '1").unwrap().ends_with("line_spi = CAST('x'' OR ''1'' = ''1' AS VARCHAR)"));
    let money = param("least money = 1.00; an amount");
    assert!(bound("SELECT $least", &money, "-12.5").unwrap().contains("CAST('-12.5' AS DECIMAL(18,2))"));
    for (kind, wrong) in [
        ("money", "1.005"),
        ("money", "1e3"),
        ("money", "$5"),
        ("decimal", "0.1234567"),
        ("decimal", "1/3"),
        ("integer", "1.5"),
        ("integer", "9999999999999999999"),
        ("date", "31.01.2026"),
    ] {
        let default = if kind == "date" { "2026-01-31" } else { "1" };
        let param = param(&format!("p {kind} = {default}; x"));
        assert!(param.literal(wrong).is_err(), "{kind} {wrong}");
    }
}

#[test]
fn a_name_that_the_header_does_not_declare_is_refused() {
    let error = bound("SELECT $least + $most", &param("least money = 1.00; an amount"), "2.00").unwrap_err();
    assert!(error.to_string().contains("$most"), "{error}");
}

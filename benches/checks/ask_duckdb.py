"""The checks of queries/sql asked of DuckDB, over plain Parquet: prints `check,seconds,findings`, and what could not be asked as `# ...`.

The SQL is ours but for what DuckDB says otherwise: the aggregate `first_value`, the right semi join, our own functions, parameters.
As with us, tables that several checks share are made within the time of the first check that needs them, and warm means that the
tie-out was asked once before.
"""

import re
import sys
import time
from pathlib import Path

import duckdb

parquet, sql, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
TIE_OUT = ["line_value"]


def ours_to_theirs(text):
    text = re.sub(r"\bfirst_value\(", "first(", text)
    text = re.sub(r"FROM latest\s+RIGHT SEMI JOIN (\w+)", r"FROM \1 SEMI JOIN latest", text)
    text = re.sub(r"LEFT (ANTI|SEMI) JOIN", r"\1 JOIN", text)
    for name, value in re.findall(r"^-- param: (\w+) \w+ = ([^;]+);", text, re.M):
        text = text.replace("$" + name, value)
    return text


def header(text, key):
    found = re.search(rf"^-- {key}: (.*)$", text, re.M)
    return [part.strip() for part in found.group(1).split(",")] if found else []


def session():
    db = duckdb.connect(config={"threads": threads, "memory_limit": "8GB"})
    for schema in ["meta", "work"]:
        db.execute(f"CREATE SCHEMA {schema}")
    db.execute("CREATE MACRO round_half_up_to_cents(x) AS round(x, 2)")
    for path in parquet.glob("*.parquet"):
        name = path.stem if path.stem.startswith("es_") else f"meta.{path.stem}"
        db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
    for name in ["entry_summaries", "entry_lines", "tariff_lines"]:
        db.execute(f"CREATE VIEW {name} AS " + ours_to_theirs((sql / f"history/{name}.sql").read_text()))
    return db, set()


def make(db, made, name):
    if name in made:
        return
    text = ours_to_theirs((sql / f"work/{name}.sql").read_text())
    if name == "entries":
        db.execute("CREATE VIEW work.sums AS " + ours_to_theirs((sql / "work/sums.sql").read_text()))
    if name == "lines":
        make(db, made, "entries")
        text = f"""SELECT * FROM ({text}) WHERE entry_summary_number IN (SELECT entry_summary_number FROM work.entries
            WHERE lines_repeated > 0 OR (rows_2 > 0 AND rows_3 > 0 AND lines_apart > 0))"""
    columns = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM ({text})").fetchall()]
    kept = "* EXCLUDE (kept)" if "kept" in columns else "*"
    where = "WHERE coalesce(kept, true)" if "kept" in columns else ""
    db.execute(f"CREATE TABLE work.{name} AS SELECT {kept} FROM ({text}) {where}")
    made.add(name)


def ask(db, made, check):
    text = (sql / f"reconcile/{check}.sql").read_text()
    started = time.perf_counter()
    for work in header(text, "work"):
        make(db, made, work)
    answer = db.execute(ours_to_theirs(text))
    names = [column[0] for column in answer.description]
    rows = answer.fetchall()
    entry, why = names.index("entry_summary_number"), names.index("not_judged")
    found = sum(1 for row in rows if row[entry] is not None and row[why] is None)
    return time.perf_counter() - started, found


order = re.findall(r'"(\w+)",', (sql.parent / "src/library/files.rs").read_text().split("RECONCILE")[1].split(";")[0])
order = [name for name in order if (sql / f"reconcile/{name}.sql").exists()]
db, made = session()
for check in TIE_OUT:
    ask(db, made, check)
db, made = session()
for check in order:
    try:
        seconds, found = ask(db, made, check)
        print(f"{check},{seconds},{found}", flush=True)
    except duckdb.Error as error:
        print(f"# {check} was not asked: {str(error).splitlines()[0]}", flush=True)

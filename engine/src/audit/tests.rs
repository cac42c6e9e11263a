//! Exports against whoever changes them: from outside, byte by byte, and from inside, with the lake's key in hand.

use bonded_connectors::{
    audit::{Checkpoint, Signed, chain::Head, checkpoint::chain_name},
    seal::{LakeSecret, SigningKey, TenantSecret},
};
use chrono::DateTime;
use proptest::prelude::*;

use super::{
    export::{Exported, Form, HeadLine},
    proof::{Known, Verdict, verify},
    trail::Filter,
    *,
};

const TENANT: &str = "nordwind";

/// A trail as the engine makes it, without a store.
struct Trail {
    documents: DocumentKey,
    key: SigningKey,
    entries: Vec<Entry>,
    signed: Vec<Signed>,
}

impl Trail {
    /// Every `each`th event is followed by a checkpoint; the first `old` are from before there were commitments.
    fn new(events: usize, each: usize, old: usize) -> Self {
        let mut trail = Self {
            documents: TenantSecret::generate().derive().1,
            key: LakeSecret::generate().audit_key(),
            entries: Vec::new(),
            signed: Vec::new(),
        };
        for n in 0..events {
            let actor = if n % 3 == 0 { "owner@nordwind.example" } else { "console:test" };
            let event = AuditEvent::new(
                actor.into(),
                if n % 2 == 0 { "query" } else { "key.rotate" },
                &format!("=object {n},\"q\""),
                "done",
            );
            trail.append(event, n < old);
            if (n + 1) % each == 0 {
                trail.sign();
            }
        }
        trail
    }

    fn head(&self) -> Head {
        self.entries.last().map(|entry| Head { events: entry.row.seq, hash: entry.row.hash.clone() }).unwrap_or_default()
    }

    fn append(&mut self, event: AuditEvent, old: bool) {
        let head = self.head();
        let stored = event.sealed(TENANT, &self.documents).expect("sealed");
        let at = DateTime::from_timestamp(1_770_000_000 + head.events, 0).expect("an instant").to_rfc3339();
        let mut row = AuditRow::of(head.events + 1, at, &stored, String::new()).expect("a form");
        if old {
            row.commitment = None;
        }
        row.hash = row.expected_hash(&head.hash);
        self.entries.push(Entry::opened(row, TENANT, &self.documents).expect("opens"));
    }

    fn sign(&mut self) {
        let at = DateTime::from_timestamp(1_780_000_000, 0).expect("an instant");
        let says = Checkpoint { chain: chain_name(Some(TENANT)), head: self.head(), at, anchor: None };
        self.signed.push(says.signed(&self.key));
    }

    /// What somebody inside can do who may write the database and use the key: the chain made anew from here on.
    fn chain_anew(&mut self) {
        let mut head = Head::default();
        for entry in &mut self.entries {
            entry.row.seq = head.events + 1;
            entry.row.hash = entry.row.expected_hash(&head.hash);
            head = Head { events: entry.row.seq, hash: entry.row.hash.clone() };
        }
    }

    fn export(&self, form: Form, filter: &Filter) -> (Vec<u8>, Exported) {
        let head = HeadLine {
            bonded_audit_export: super::export::FORMAT,
            chain: chain_name(Some(TENANT)),
            exported_at: DateTime::from_timestamp(1_790_000_000, 0).expect("an instant"),
            filter: filter.clone(),
            public_key: self.key.public_key(),
        };
        let mut out = Vec::new();
        let sign = |text: &str| self.key.sign(text.as_bytes());
        let done = super::export::write(head, &self.entries, &self.signed, form, &sign, &mut out).expect("written");
        (out, done)
    }

    fn known(&self) -> Known {
        Known { public_keys: vec![self.key.public_key()], heads: Vec::new() }
    }
}

fn checked(export: &[u8], known: &Known) -> Result<Verdict> {
    verify(export, known)
}

#[test]
fn an_export_proves_itself_in_both_forms_and_with_any_filter() {
    let trail = Trail::new(40, 7, 3);
    let by_actor = Filter { who: Some("owner@nordwind.example".into()), ..Filter::default() };
    for form in [Form::Jsonl, Form::Csv] {
        for (filter, selected) in [(Filter::default(), 40), (by_actor.clone(), 14)] {
            let (export, done) = trail.export(form, &filter);
            let known =
                Known { heads: vec![trail.head(), Head { events: 5, hash: trail.entries[4].row.hash.clone() }], ..trail.known() };
            let verdict = checked(&export, &known).expect("whole");
            assert_eq!((verdict.head.clone(), verdict.selected, verdict.checkpoints), (trail.head(), selected, 5));
            assert_eq!((done.selected, done.head, done.without_proof), (selected, trail.head(), verdict.without_proof));
            assert!(verdict.keys_are_known && verdict.heads_held_against == 2);
            assert!(checked(&export, &Known::default()).expect("whole").public_keys.contains(&trail.key.public_key()));
        }
    }
    // What was not asked for is not told.
    let text = String::from_utf8(trail.export(Form::Jsonl, &by_actor).0).expect("text");
    assert!(!text.contains("console:test") && !text.contains("object 1,"), "{text}");
    // No spreadsheet takes a cell for a formula.
    let csv = String::from_utf8(trail.export(Form::Csv, &Filter::default()).0).expect("text");
    assert!(csv.contains("\"'=object 1,\"\"q\"\"\"") && !csv.contains(",=object"), "{csv}");
}

#[test]
fn nothing_in_an_export_needs_or_tells_the_tenants_key() {
    let trail = Trail::new(3, 2, 0);
    let text = String::from_utf8(trail.export(Form::Jsonl, &Filter::default()).0).expect("text");
    assert!(trail.entries.iter().all(|entry| !text.contains(&entry.row.sealed)));
    let one = &trail.entries[0];
    assert!(one.plain.starts_with("{\"salt\":\""), "{}", one.plain);
    let same = AuditEvent::new("console:test".into(), "query", "o", "done");
    let two =
        [same.clone().sealed(TENANT, &trail.documents).expect("sealed"), same.sealed(TENANT, &trail.documents).expect("sealed")];
    assert_ne!(two[0].split('.').nth(1), two[1].split('.').nth(1), "equal events have commitments that are not alike");
}

#[test]
fn the_lakes_key_alone_cannot_hide_a_change_from_a_head_kept_elsewhere() {
    let head = |trail: &Trail| Known { heads: vec![trail.head()], ..trail.known() };
    // A changed word, a removed event, two exchanged, a cut tail: each chained anew, checkpoints made anew, the export signed.
    let changes: [fn(&mut Trail); 4] = [
        |trail| {
            let event = AuditEvent { result: "refused".into(), ..trail.entries[4].event.clone() };
            let stored = event.sealed(TENANT, &trail.documents).expect("sealed");
            let row = AuditRow::of(5, trail.entries[4].row.at.clone(), &stored, String::new()).expect("a form");
            trail.entries[4] = Entry::opened(row, TENANT, &trail.documents).expect("opens");
        },
        |trail| drop(trail.entries.remove(4)),
        |trail| trail.entries.swap(4, 5),
        |trail| trail.entries.truncate(11),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        for form in [Form::Jsonl, Form::Csv] {
            let mut trail = Trail::new(12, 5, 0);
            let known = head(&trail);
            checked(&trail.export(form, &Filter::default()).0, &known).expect("whole before");
            change(&mut trail);
            trail.chain_anew();
            // The checkpoints that were made are not of this chain any more.
            let kept = trail.export(form, &Filter::default()).0;
            if n < 3 {
                assert_eq!(checked(&kept, &trail.known()).expect_err("the checkpoints tell").kind(), ErrorKind::Damaged);
            }
            trail.signed.clear();
            trail.sign();
            let forged = trail.export(form, &Filter::default()).0;
            checked(&forged, &trail.known()).expect("all that was signed was signed anew");
            let told = checked(&forged, &known).expect_err("the head tells");
            assert_eq!(told.kind(), ErrorKind::Damaged);
            if n == 3 {
                assert!(told.to_string().contains("cut off"), "{told}");
            }
        }
    }
}

#[test]
fn an_export_by_another_key_is_told_where_the_key_is_known() {
    let trail = Trail::new(4, 2, 0);
    let export = trail.export(Form::Jsonl, &Filter::default()).0;
    let other = Known { public_keys: vec![Trail::new(1, 1, 0).key.public_key()], ..Known::default() };
    assert!(checked(&export, &other).expect_err("another key").to_string().contains("none of the public keys given"));
}

#[test]
fn what_is_no_export_is_refused_and_not_called_damage() {
    for text in ["", "hello", "\n"] {
        assert_eq!(checked(text.as_bytes(), &Known::default()).expect_err(text).kind(), ErrorKind::Input);
    }
}

#[test]
fn only_owner_admin_and_console_may_read_a_trail() {
    let person = |role| Actor { role: Some(role), ..Actor::from("someone@nordwind.example") };
    let may: Vec<Role> = Role::ALL.into_iter().filter(|role| may_read(&person(*role))).collect();
    assert_eq!(may, [Role::Owner, Role::Admin]);
    // The name of a person is not what lets them in, and a machine has no role.
    assert!(!may_read(&Actor { role: Some(Role::Viewer), ..Actor::from("console:me") }));
    assert!(
        may_read(&Actor::from("console:root"))
            && !may_read(&Actor::from("machine:broker"))
            && !may_read(&Actor::from("serve:host/1"))
    );
}

#[test]
fn whoever_makes_an_event_no_secret_and_no_persons_number_gets_into_it() {
    let trail = Trail::new(1, 1, 0);
    let mut event =
        AuditEvent::new("console:test".into(), "query", "WHERE importer_number = '000-12-3456'", "refused: 000123456");
    event.after = Some(serde_json::json!({ "api_token": "t0p", "note": "of 000-12-3456" }));
    let stored = event.sealed(TENANT, &trail.documents).expect("sealed");
    let row = AuditRow::of(1, String::new(), &stored, String::new()).expect("a form");
    let plain = Entry::opened(row, TENANT, &trail.documents).expect("opens").plain;
    for hidden in ["000-12-3456", "000123456", "t0p"] {
        assert!(!plain.contains(hidden), "{plain}");
    }
    assert!(plain.contains("***-**-3456"));
}

#[derive(Clone, Debug)]
enum Harm {
    /// Flips bits of a byte.
    Byte(prop::sample::Index, u8),
    RemoveByte(prop::sample::Index),
    InsertByte(prop::sample::Index, u8),
    RemoveLine(prop::sample::Index),
    DoubleLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
    CutAfterLine(prop::sample::Index),
    /// A line of another export of the same trail's beginning.
    ForeignLine(prop::sample::Index, prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 1_u8..).prop_map(|(at, bits)| Harm::Byte(at, bits)),
        1 => at().prop_map(Harm::RemoveByte),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Harm::InsertByte(at, byte)),
        1 => at().prop_map(Harm::RemoveLine),
        1 => at().prop_map(Harm::DoubleLine),
        1 => (at(), at()).prop_map(|(a, b)| Harm::SwapLines(a, b)),
        1 => at().prop_map(Harm::CutAfterLine),
        1 => (at(), at()).prop_map(|(a, b)| Harm::ForeignLine(a, b)),
    ]
}

fn harmed(mut export: Vec<u8>, other: &[u8], harm: &Harm) -> Vec<u8> {
    let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut all = lines(&export);
    let count = all.len();
    match harm {
        Harm::Byte(at, bits) => {
            let at = at.index(export.len());
            export[at] ^= bits;
            return export;
        }
        Harm::RemoveByte(at) => {
            export.remove(at.index(export.len()));
            return export;
        }
        Harm::InsertByte(at, byte) => {
            export.insert(at.index(export.len() + 1), *byte);
            return export;
        }
        Harm::RemoveLine(at) => drop(all.remove(at.index(count))),
        Harm::DoubleLine(at) => all.insert(at.index(count), all[at.index(count)].clone()),
        Harm::SwapLines(a, b) => all.swap(a.index(count), b.index(count)),
        Harm::CutAfterLine(at) => all.truncate(at.index(count)),
        Harm::ForeignLine(a, b) => {
            let foreign = lines(other);
            let at = a.index(count);
            all[at] = foreign[b.index(foreign.len())].clone();
        }
    }
    all.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_an_export_is_found(harms in prop::collection::vec(harm(), 1..4), csv in any::<bool>(), filtered in any::<bool>()) {
        static TRAIL: std::sync::LazyLock<Trail> = std::sync::LazyLock::new(|| Trail::new(25, 6, 2));
        let form = if csv { Form::Csv } else { Form::Jsonl };
        let filter = Filter { action: filtered.then(|| "query".to_owned()), ..Filter::default() };
        let export = TRAIL.export(form, &filter).0;
        let other = TRAIL.export(form, &Filter { action: Some("key".into()), ..Filter::default() }).0;
        prop_assert!(checked(&export, &TRAIL.known()).is_ok());
        let harmed = harms.iter().fold(export.clone(), |export, harm| if export.is_empty() { export } else { harmed(export, &other, harm) });
        prop_assert_eq!(checked(&harmed, &TRAIL.known()).is_ok(), harmed == export);
    }
}

-- Which entries lie inside the entry dates of a later delivery of the same report, yet are not in it?
-- Auditors ask: an entry that CBP no longer reports was cancelled, moved to another importer, or left out by a prompt.
WITH spans AS (
    SELECT
        'ES-001' AS report,
        _delivery_id,
        max(_as_of) AS _as_of,
        min(entry_date) AS first_entry_date,
        max(entry_date) AS last_entry_date
    FROM es_001
    GROUP BY _delivery_id
    UNION ALL
    SELECT
        'ES-003' AS report,
        _delivery_id,
        max(_as_of) AS _as_of,
        min(entry_date) AS first_entry_date,
        max(entry_date) AS last_entry_date
    FROM es_003
    GROUP BY _delivery_id
),
entries AS (
    SELECT
        'ES-001' AS report,
        entry_summary_number,
        max(entry_date) AS entry_date,
        max(_delivery_id) AS _delivery_id,
        max(_as_of) AS _as_of
    FROM entry_summaries
    GROUP BY entry_summary_number
    UNION ALL
    SELECT
        'ES-003' AS report,
        entry_summary_number,
        max(entry_date) AS entry_date,
        max(_delivery_id) AS _delivery_id,
        max(_as_of) AS _as_of
    FROM tariff_lines
    GROUP BY entry_summary_number
)
SELECT
    entries.report,
    entries.entry_summary_number,
    entries.entry_date,
    entries._delivery_id AS last_delivery_id,
    entries._as_of AS last_as_of,
    first_value(spans._delivery_id ORDER BY spans._as_of, spans._delivery_id) AS missing_from_delivery_id,
    min(spans._as_of) AS missing_as_of,
    count(*) AS deliveries_without_it
FROM entries
INNER JOIN spans
    ON spans.report = entries.report
    AND entries.entry_date BETWEEN spans.first_entry_date AND spans.last_entry_date
    AND (
        spans._as_of > entries._as_of
        OR (spans._as_of = entries._as_of AND spans._delivery_id > entries._delivery_id)
    )
GROUP BY
    entries.report,
    entries.entry_summary_number,
    entries.entry_date,
    entries._delivery_id,
    entries._as_of

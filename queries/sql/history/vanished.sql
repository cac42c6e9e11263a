-- Which entries lie inside the entry dates of a later delivery of the same report, yet are not in it?
-- Auditors ask: an entry that CBP no longer reports was cancelled, moved to another importer, or left out by a prompt.
WITH dates AS (
    SELECT
        entry_summary_number,
        max(entry_date) AS entry_date
    FROM (
        -- No key is blank: nullif sheds the column's field id, which differs from table to table and which a union trips over.
        SELECT
            nullif(entry_summary_number, '') AS entry_summary_number,
            max(entry_date) AS entry_date
        FROM es_001
        GROUP BY
            entry_summary_number
        UNION ALL
        SELECT
            nullif(entry_summary_number, '') AS entry_summary_number,
            max(entry_date) AS entry_date
        FROM es_003
        GROUP BY
            entry_summary_number
    )
    GROUP BY
        entry_summary_number
),
spans AS (
    SELECT
        'ES-001' AS report,
        nullif(_delivery_id, '') AS _delivery_id,
        max(_as_of) AS _as_of,
        min(entry_date) AS first_entry_date,
        max(entry_date) AS last_entry_date
    FROM es_001
    GROUP BY
        _delivery_id
    UNION ALL
    -- The default ES-002 has no entry date: those of the other two reports stand for it.
    SELECT
        'ES-002' AS report,
        nullif(es_002._delivery_id, '') AS _delivery_id,
        max(es_002._as_of) AS _as_of,
        min(dates.entry_date) AS first_entry_date,
        max(dates.entry_date) AS last_entry_date
    FROM dates
    INNER JOIN es_002
        ON dates.entry_summary_number = es_002.entry_summary_number
    GROUP BY
        es_002._delivery_id
    UNION ALL
    SELECT
        'ES-003' AS report,
        nullif(_delivery_id, '') AS _delivery_id,
        max(_as_of) AS _as_of,
        min(entry_date) AS first_entry_date,
        max(entry_date) AS last_entry_date
    FROM es_003
    GROUP BY
        _delivery_id
),
-- Entries of one delivery and day share their fate: far fewer of these groups than of entries meet the spans.
places AS (
    SELECT
        sightings.report,
        sightings.last_delivery_id,
        sightings.last_seen_as_of,
        dates.entry_date,
        array_agg(sightings.entry_summary_number) AS entries
    FROM sightings
    INNER JOIN dates
        ON sightings.entry_summary_number = dates.entry_summary_number
    GROUP BY
        sightings.report,
        sightings.last_delivery_id,
        sightings.last_seen_as_of,
        dates.entry_date
),
missing AS (
    SELECT
        places.report,
        places.last_delivery_id,
        places.last_seen_as_of,
        places.entry_date,
        first_value(places.entries) AS entries,
        first_value(spans._delivery_id ORDER BY spans._as_of ASC, spans._delivery_id ASC) AS missing_from_delivery_id,
        min(spans._as_of) AS missing_as_of,
        count(*) AS deliveries_without_it
    FROM places
    INNER JOIN spans
        ON spans.report = places.report
        AND places.entry_date BETWEEN spans.first_entry_date AND spans.last_entry_date
        AND (
            spans._as_of > places.last_seen_as_of
            OR (spans._as_of = places.last_seen_as_of AND spans._delivery_id > places.last_delivery_id)
        )
    GROUP BY
        places.report,
        places.last_delivery_id,
        places.last_seen_as_of,
        places.entry_date
)
SELECT
    report,
    unnest(entries) AS entry_summary_number,
    entry_date,
    last_delivery_id,
    last_seen_as_of AS last_as_of,
    missing_from_delivery_id,
    missing_as_of,
    deliveries_without_it,
    'a narrower prompt of the later pull is as good a reason as a cancelled entry' AS caveat
FROM missing

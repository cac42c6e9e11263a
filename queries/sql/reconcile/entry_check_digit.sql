-- Which entry numbers have a check digit other than the one their first ten characters give?
-- Broker review asks; a digit typed wrong makes another entry. A filer most of whose numbers fail uses another scheme, as some do, and is not judged.
-- severity: warning
-- rule: CATAIR AE table 1 [V]
-- against: entry_summaries, entry_lines, tariff_lines
-- evidence: entry_summaries entry, entry_lines entry, tariff_lines entry
-- param: share_min decimal = 0.5; of a filer's numbers, the share that must hold for the others to be called wrong
WITH numbers AS (
    SELECT entry_summary_number FROM entry_summaries
    UNION ALL
    SELECT entry_summary_number FROM entry_lines
    UNION ALL
    SELECT entry_summary_number FROM tariff_lines
),
entries AS (
    SELECT
        entry_summary_number,
        check_digit_ok(entry_summary_number) AS holds
    FROM numbers
    WHERE entry_summary_number IS NOT NULL
    GROUP BY
        entry_summary_number
),
filers AS (
    SELECT
        CASE WHEN holds IS NOT NULL THEN left(entry_summary_number, 3) END AS filer,
        count(*) AS entries,
        sum(CASE WHEN holds THEN 1 ELSE 0 END) AS held,
        array_agg(entry_summary_number) FILTER (WHERE NOT holds) AS failing
    FROM entries
    GROUP BY
        1
),
judged AS (
    SELECT
        *,
        CASE
            WHEN filer IS NULL THEN 'the number is not of the shape XXXNNNNNNNC'
            WHEN held < entries * $share_min THEN 'too few numbers of the filer hold, so it may use another scheme'
        END AS not_judged
    FROM filers
),
told AS (
    SELECT
        unnest(
            CASE WHEN not_judged IS NULL AND held < entries THEN failing ELSE make_array(CAST(NULL AS VARCHAR)) END
        ) AS entry_summary_number,
        not_judged,
        entries
    FROM judged
)
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    CAST(check_digit(entry_summary_number) AS VARCHAR) AS expected,
    right(entry_summary_number, 1) AS actual,
    not_judged,
    entries AS unit_count
FROM told
ORDER BY
    entry_summary_number

-- Is the merchandise processing fee paid on each entry the sum of its lines' fees, held between the minimum and maximum of its date?
-- Finance asks; 19 CFR 24.23(b)(1)(i), amounts by entry date in meta.rules_mpf. Formal types 01, 02, 03, 07 only: informal (11, 12) and weekly zone (06) entries follow other rules.
-- severity: error
-- needs: entry_lines.line_mpf_amount, entry_summaries.total_paid_mpf_amount, entry_summaries.entry_date, entry_summaries.entry_type_code
-- evidence: entry_lines entry, entry_summaries entry
WITH lines AS (
    SELECT
        entry_summary_number,
        sum(line_mpf_amount) AS amount
    FROM entry_lines
    GROUP BY
        entry_summary_number
),
headers AS (
    SELECT
        entry_summary_number,
        max(entry_type_code) AS entry_type_code,
        max(entry_date) AS entry_date,
        sum(total_paid_mpf_amount) AS amount
    FROM entry_summaries
    GROUP BY
        entry_summary_number
),
compared AS (
    SELECT
        headers.entry_summary_number,
        CASE
            WHEN lines.amount = 0 THEN lines.amount
            WHEN lines.amount < rules.minimum THEN rules.minimum
            WHEN lines.amount > rules.maximum THEN rules.maximum
            ELSE lines.amount
        END AS expected,
        headers.amount AS actual,
        CASE
            WHEN headers.entry_type_code IS NULL THEN 'ES-001 states no entry type'
            WHEN headers.entry_type_code NOT IN ('01', '02', '03', '07') THEN 'entry type is not 01, 02, 03 or 07'
            WHEN headers.entry_date IS NULL THEN 'ES-001 states no entry date'
            WHEN rules.minimum IS NULL THEN 'no rule for this date'
            WHEN lines.amount IS NULL THEN 'ES-002 states no such amount'
            WHEN headers.amount IS NULL THEN 'ES-001 states no such amount'
        END AS not_judged
    FROM headers
    INNER JOIN lines
        ON lines.entry_summary_number = headers.entry_summary_number
    LEFT JOIN meta.rules_mpf AS rules
        ON headers.entry_date >= rules.from_date
        AND (rules.until_date IS NULL OR headers.entry_date < rules.until_date)
)
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    expected,
    actual,
    not_judged
FROM compared
WHERE
    not_judged IS NOT NULL
    OR (expected IS DISTINCT FROM actual)
ORDER BY
    entry_summary_number

-- Does each entry's total duty in ES-001 equal the sum of its lines in ES-002?
-- Finance and broker review ask; the header and the lines are one entry summary.
-- severity: error
-- rule: 19 CFR 142.11 [S]
-- needs: entry_lines.line_duty_amount, entry_summaries.total_duty_amount
-- evidence: entry_lines entry, entry_summaries entry
-- work: entries
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    duty_2 AS expected,
    duty_1 AS actual,
    CASE
        WHEN duty_2 IS NULL THEN 'ES-002 states no such amount'
        WHEN duty_1 IS NULL THEN 'ES-001 states no such amount'
    END AS not_judged
FROM work.entries
WHERE
    rows_1 > 0
    AND rows_2 > 0
    AND (duty_2 IS DISTINCT FROM duty_1)
ORDER BY
    entry_summary_number

-- Does each entry's total goods value in ES-001 equal the sum of its lines in ES-002?
-- Finance and broker review ask; the header and the lines are one entry summary.
-- severity: error
-- rule: 19 CFR 142.11 [S]
-- needs: entry_lines.line_goods_value_amount, entry_summaries.total_goods_value_amount
-- evidence: entry_lines entry, entry_summaries entry
-- work: entries
SELECT
    entry_summary_number,
    CAST(NULL AS INTEGER) AS entry_summary_line_number,
    value_2 AS expected,
    value_1 AS actual,
    CASE
        WHEN value_2 IS NULL THEN 'ES-002 states no such amount'
        WHEN value_1 IS NULL THEN 'ES-001 states no such amount'
    END AS not_judged
FROM work.entries
WHERE
    rows_1 > 0
    AND rows_2 > 0
    AND (value_2 IS DISTINCT FROM value_1)
ORDER BY
    entry_summary_number

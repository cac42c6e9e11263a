-- Does each line's goods value in ES-002 equal the sum of its tariff rows in ES-003?
-- Finance and broker review ask; value stands on the chapter 1-97 row, chapter 99 rows carry zero.
-- severity: error
-- rule: CSMS 18-000624 [S]
-- needs: tariff_lines.line_tariff_goods_value_amount, entry_lines.line_goods_value_amount
-- evidence: tariff_lines line, entry_lines line
-- work: entries, lines
SELECT
    entry_summary_number,
    entry_summary_line_number,
    value_3 AS expected,
    value_2 AS actual,
    CASE
        WHEN value_3 IS NULL THEN 'ES-003 states no such amount'
        WHEN value_2 IS NULL THEN 'ES-002 states no such amount'
    END AS not_judged
FROM work.lines
WHERE
    rows_2 > 0
    AND rows_3 > 0
    AND entry_summary_line_number IS NOT NULL
    AND (value_3 IS DISTINCT FROM value_2)
ORDER BY
    entry_summary_number,
    entry_summary_line_number

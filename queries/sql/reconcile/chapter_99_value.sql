-- Does the value stand on the chapter 1-97 row of each line, and none on a chapter 99 row? `actual` is what stands on chapter 99 rows.
-- Broker review asks; the same value on two rows of a line is counted twice by whoever adds up the report.
-- severity: warning
-- rule: CSMS 18-000624 [S]
-- needs: tariff_lines.hts_number_full, tariff_lines.line_tariff_goods_value_amount
-- evidence: tariff_lines line
-- work: stacks
SELECT
    entry_summary_number,
    entry_summary_line_number,
    CAST('0.00' AS DECIMAL(18, 2)) AS expected,
    additional_value AS actual,
    CASE WHEN goods_ordinal_min IS NULL THEN 'the line has no row of chapters 1-97' END AS not_judged
FROM work.stacks
WHERE additional_values > 0
ORDER BY
    entry_summary_number,
    entry_summary_line_number

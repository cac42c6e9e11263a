-- On which lines does a tariff ordinal stand more than once in one delivery of ES-003?
-- Tie-out asks; duty would be counted twice.
-- severity: error
-- rule: ES-003 has one row a tariff ordinal of a line [S]
-- needs: tariff_lines.tariff_ordinal_number
-- reads: tariff_lines.hts_number_full, tariff_lines.line_tariff_goods_value_amount, tariff_lines.entry_date
-- evidence: tariff_lines line
-- work: stacks
SELECT
    entry_summary_number,
    entry_summary_line_number,
    'each ordinal once' AS expected,
    concat(row_count, ' rows, ordinals ', ordinal_min, ' to ', ordinal_max) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM work.stacks
WHERE ordinals_sum <> ordinals_set
ORDER BY
    entry_summary_number,
    entry_summary_line_number

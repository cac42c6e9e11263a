-- Do the chapter 99 numbers of each line stand before those of chapters 1-97?
-- Broker review asks; the order is chapter 98, additional duties of chapter 99, then the goods.
-- severity: warning
-- rule: CSMS 18-000624 [S]
-- needs: tariff_lines.hts_number_full, tariff_lines.tariff_ordinal_number
-- evidence: tariff_lines line
-- work: stacks
SELECT
    entry_summary_number,
    entry_summary_line_number,
    concat('chapter 99 before ordinal ', goods_ordinal_min) AS expected,
    concat('chapter 99 at ordinal ', additional_ordinal_max) AS actual,
    CAST(NULL AS VARCHAR) AS not_judged
FROM work.stacks
WHERE additional_ordinal_max > goods_ordinal_min
ORDER BY
    entry_summary_number,
    entry_summary_line_number

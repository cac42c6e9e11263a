-- Does any line hold more tariff numbers than its date allows?
-- Broker review asks; 8 until 2025-06-28, then 32, by entry date in meta.rules_hts_per_line.
-- severity: warning
-- rule: CSMS 65464464, meta.rules_hts_per_line [S]
-- needs: tariff_lines.entry_date
-- evidence: tariff_lines line
-- work: stacks
SELECT
    entry_summary_number,
    entry_summary_line_number,
    row_count_max AS expected,
    row_count AS actual,
    CASE
        WHEN entry_date IS NULL THEN 'ES-003 states no entry date'
        WHEN row_count_max IS NULL THEN 'no rule for this date'
    END AS not_judged
FROM work.stacks
WHERE
    row_count_max IS NULL
    OR row_count > row_count_max
ORDER BY
    entry_summary_number,
    entry_summary_line_number

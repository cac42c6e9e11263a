-- Does each line's duty in ES-002 equal the sum of its tariff rows in ES-003?
-- Finance and broker review ask; a line's duty is that of all its tariff ordinals together, chapter 99 included.
-- severity: error
-- rule: 19 CFR 141.61, the line of CBP Form 7501 [G]
-- needs: tariff_lines.line_tariff_duty_amount, entry_lines.line_duty_amount
-- evidence: tariff_lines line, entry_lines line
-- work: entries, lines
SELECT
    entry_summary_number,
    entry_summary_line_number,
    duty_3 AS expected,
    duty_2 AS actual,
    CASE
        WHEN duty_3 IS NULL THEN 'ES-003 states no such amount'
        WHEN duty_2 IS NULL THEN 'ES-002 states no such amount'
    END AS not_judged
FROM work.lines
WHERE
    rows_2 > 0
    AND rows_3 > 0
    AND entry_summary_line_number IS NOT NULL
    AND (duty_3 IS DISTINCT FROM duty_2)
ORDER BY
    entry_summary_number,
    entry_summary_line_number

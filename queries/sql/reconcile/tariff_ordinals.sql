-- Do the tariff ordinals of each line run from 1 without a gap?
-- Broker review asks; a gap is a tariff row that the report lacks.
-- severity: warning
-- rule: tariff ordinals count the numbers of a line from 1 [S]
-- needs: tariff_lines.tariff_ordinal_number
-- evidence: tariff_lines line
-- work: stacks
SELECT
    entry_summary_number,
    entry_summary_line_number,
    concat('1 to ', row_count) AS expected,
    CASE WHEN ordinal_max IS NULL THEN 'no ordinal' ELSE concat(ordinal_min, ' to ', ordinal_max) END AS actual,
    CASE
        WHEN ordinals_sum <> ordinals_set THEN 'an ordinal is repeated'
        WHEN row_count > 40 THEN 'the line has more than 40 rows'
    END AS not_judged
FROM work.stacks
WHERE
    ordinals_sum IS NULL
    OR row_count > 40
    OR ordinals_sum <> (1 << (row_count + 1)) - 2
ORDER BY
    entry_summary_number,
    entry_summary_line_number

-- What do the lines of the entries that differ amount to in ES-002 and in ES-003?
-- The tie-out asks; the session adds which entries, so that the others are not read again.
-- reads: entry_lines.line_goods_value_amount, entry_lines.line_duty_amount, tariff_lines.line_tariff_goods_value_amount, tariff_lines.line_tariff_duty_amount
WITH line_rows AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        1 AS rows_2,
        0 AS rows_3,
        line_goods_value_amount AS value_2,
        line_duty_amount AS duty_2,
        CAST(NULL AS DECIMAL(18, 2)) AS value_3,
        CAST(NULL AS DECIMAL(18, 2)) AS duty_3
    FROM entry_lines
    UNION ALL
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        0 AS rows_2,
        1 AS rows_3,
        CAST(NULL AS DECIMAL(18, 2)) AS value_2,
        CAST(NULL AS DECIMAL(18, 2)) AS duty_2,
        line_tariff_goods_value_amount AS value_3,
        line_tariff_duty_amount AS duty_3
    FROM tariff_lines
)
SELECT
    entry_summary_number,
    entry_summary_line_number,
    sum(rows_2) AS rows_2,
    sum(rows_3) AS rows_3,
    sum(value_2) AS value_2,
    sum(duty_2) AS duty_2,
    sum(value_3) AS value_3,
    sum(duty_3) AS duty_3
FROM line_rows
GROUP BY
    entry_summary_number,
    entry_summary_line_number

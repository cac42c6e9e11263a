-- What does each entry amount to in each report, and how many of its lines differ?
-- The tie-out asks; the session adds this up in one reading of the views, and asks this file where it cannot.
WITH line_rows AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        1 AS rows_2,
        0 AS rows_3,
        line_goods_value_amount AS value_2,
        line_duty_amount AS duty_2,
        line_mpf_amount AS mpf_2,
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
        CAST(NULL AS DECIMAL(18, 2)) AS mpf_2,
        line_tariff_goods_value_amount AS value_3,
        line_tariff_duty_amount AS duty_3
    FROM tariff_lines
),
lines AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        sum(rows_2) AS rows_2,
        sum(rows_3) AS rows_3,
        sum(value_2) AS value_2,
        sum(duty_2) AS duty_2,
        sum(mpf_2) AS mpf_2,
        sum(value_3) AS value_3,
        sum(duty_3) AS duty_3
    FROM line_rows
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
),
entry_rows AS (
    SELECT
        entry_summary_number,
        CAST(NULL AS VARCHAR) AS entry_type_code,
        CAST(NULL AS DATE) AS entry_date,
        0 AS rows_1,
        rows_2,
        rows_3,
        CAST(NULL AS DECIMAL(18, 2)) AS value_1,
        CAST(NULL AS DECIMAL(18, 2)) AS duty_1,
        CAST(NULL AS DECIMAL(18, 2)) AS mpf_1,
        value_2,
        duty_2,
        mpf_2,
        value_3,
        CASE WHEN rows_2 > 0 AND rows_3 > 0 AND entry_summary_line_number IS NOT NULL THEN 1 ELSE 0 END AS lines_both,
        CASE WHEN rows_2 > 1 AND entry_summary_line_number IS NOT NULL THEN 1 ELSE 0 END AS lines_repeated,
        CASE
            WHEN rows_2 > 0
            AND rows_3 > 0
            AND entry_summary_line_number IS NOT NULL
            AND (value_2 IS NOT DISTINCT FROM value_3)
            AND (duty_2 IS NOT DISTINCT FROM duty_3) THEN 0
            ELSE 1
        END AS lines_apart
    FROM lines
    UNION ALL
    SELECT
        entry_summary_number,
        entry_type_code,
        entry_date,
        1 AS rows_1,
        0 AS rows_2,
        0 AS rows_3,
        total_goods_value_amount AS value_1,
        total_duty_amount AS duty_1,
        total_paid_mpf_amount AS mpf_1,
        CAST(NULL AS DECIMAL(18, 2)) AS value_2,
        CAST(NULL AS DECIMAL(18, 2)) AS duty_2,
        CAST(NULL AS DECIMAL(18, 2)) AS mpf_2,
        CAST(NULL AS DECIMAL(18, 2)) AS value_3,
        0 AS lines_both,
        0 AS lines_repeated,
        0 AS lines_apart
    FROM entry_summaries
)
SELECT
    entry_summary_number,
    max(entry_type_code) AS entry_type_code,
    max(entry_date) AS entry_date,
    sum(rows_1) AS rows_1,
    sum(rows_2) AS rows_2,
    sum(rows_3) AS rows_3,
    sum(value_1) AS value_1,
    sum(duty_1) AS duty_1,
    sum(mpf_1) AS mpf_1,
    sum(value_2) AS value_2,
    sum(duty_2) AS duty_2,
    sum(mpf_2) AS mpf_2,
    sum(value_3) AS value_3,
    sum(lines_both) AS lines_both,
    sum(lines_repeated) AS lines_repeated,
    sum(lines_apart) AS lines_apart
FROM entry_rows
WHERE entry_summary_number IS NOT NULL
GROUP BY
    entry_summary_number

-- What share of the value was paid as duty, chapter 99 included, by product, country of origin and month?
-- Finance asks; all duty of a line goes to its first tariff number of chapters 1-97.
WITH lines AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        max(country_of_origin_code) AS country_of_origin_code,
        max(entry_date) AS entry_date,
        first_value(hts_number_full ORDER BY hts_number_full LIKE '99%' OR hts_number_full LIKE '98%', tariff_ordinal_number) AS hts_number,
        sum(line_tariff_goods_value_amount) AS goods_value,
        sum(line_tariff_duty_amount) AS duty
    FROM tariff_lines
    GROUP BY
        entry_summary_number,
        entry_summary_line_number
)
SELECT
    left(hts_number, 8) AS hts_8,
    country_of_origin_code,
    CAST(date_trunc('month', entry_date) AS DATE) AS entry_month,
    count(*) AS lines,
    sum(goods_value) AS goods_value,
    sum(duty) AS duty,
    CASE WHEN sum(goods_value) > 0 THEN CAST(sum(duty) / sum(goods_value) AS DECIMAL(18, 6)) END AS effective_rate
FROM lines
GROUP BY
    1, 2, 3
ORDER BY
    hts_8,
    country_of_origin_code,
    entry_month

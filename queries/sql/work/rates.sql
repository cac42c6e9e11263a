-- What is the usual duty rate of a product: the median over its rows of chapters 1-97, by HTS 8, country of origin and special program?
-- Broker review asks; chapter 99 rows are left aside, for additional duties come and go by date. `spread` is the median distance from the median.
-- reads: tariff_lines.hts_number_full, tariff_lines.country_of_origin_code, tariff_lines.line_spi_code, tariff_lines.line_tariff_goods_value_amount, tariff_lines.line_tariff_duty_amount
WITH goods AS (
    SELECT
        left(hts_number_full, 8) AS hts_8,
        coalesce(country_of_origin_code, '') AS country,
        coalesce(line_spi_code, '') AS program,
        line_tariff_duty_amount / line_tariff_goods_value_amount AS rate
    FROM tariff_lines
    WHERE
        line_tariff_goods_value_amount > 0
        AND line_tariff_duty_amount IS NOT NULL
        AND hts_number_full NOT LIKE '99%'
        AND hts_number_full NOT LIKE '98%'
),
medians AS (
    SELECT
        hts_8,
        country,
        program,
        count(*) AS row_count,
        median(rate) AS rate
    FROM goods
    GROUP BY
        hts_8,
        country,
        program
)
SELECT
    medians.hts_8,
    medians.country,
    medians.program,
    max(medians.row_count) AS row_count,
    max(medians.rate) AS rate,
    median(abs(goods.rate - medians.rate)) AS spread
FROM goods
INNER JOIN medians
    ON medians.hts_8 = goods.hts_8
    AND medians.country = goods.country
    AND medians.program = goods.program
GROUP BY
    medians.hts_8,
    medians.country,
    medians.program

-- Which lines paid a duty rate far from the median of the same HTS 8, country of origin and special program? Rates are of the chapter 1-97 row.
-- Broker review asks; a rate of its own is a wrong number, a wrong value, or a rate that changed. Additional duties of chapter 99 are left aside: they come and go by date.
-- severity: warning
-- rule: one rate for one product, the tariff schedule's [G]
-- needs: tariff_lines.hts_number_full, tariff_lines.country_of_origin_code, tariff_lines.line_tariff_goods_value_amount, tariff_lines.line_tariff_duty_amount
-- evidence: tariff_lines line
-- work: rates
-- param: rows_min integer = 10; rows of the same product without which its median says nothing
-- param: distance_min decimal = 0.005; distance from the median rate, as a share of the value
-- param: spread_factor decimal = 5; as many times the usual distance from the median, so that specific duties by weight stay quiet
-- param: amount_min money = 1.00; dollars of duty that the distance comes to
WITH goods AS (
    SELECT
        goods.entry_summary_number,
        goods.entry_summary_line_number,
        goods.line_tariff_duty_amount / goods.line_tariff_goods_value_amount AS rate,
        goods.line_tariff_duty_amount AS duty,
        goods.line_tariff_goods_value_amount AS goods_value,
        rates.rate AS median_rate,
        rates.spread,
        CASE
            WHEN goods.country_of_origin_code IS NULL THEN 'ES-003 states no country of origin'
            WHEN rates.row_count < $rows_min THEN 'too few rows of the same product'
            WHEN goods.line_spi_code IS NULL AND goods.line_tariff_duty_amount = 0 AND rates.rate > 0
                THEN 'free of duty, see duty_free_without_spi'
        END AS not_judged
    FROM tariff_lines AS goods
    INNER JOIN work.rates AS rates
        ON rates.hts_8 = left(goods.hts_number_full, 8)
        AND rates.country = coalesce(goods.country_of_origin_code, '')
        AND rates.program = coalesce(goods.line_spi_code, '')
    WHERE
        goods.line_tariff_goods_value_amount > 0
        AND goods.line_tariff_duty_amount IS NOT NULL
        AND goods.hts_number_full NOT LIKE '99%'
        AND goods.hts_number_full NOT LIKE '98%'
        AND goods.entry_summary_number IS NOT NULL
),
told AS (
    SELECT
        *,
        not_judged IS NULL
        AND abs(rate - median_rate) > $distance_min
        AND abs(rate - median_rate) > $spread_factor * spread
        AND abs(duty - goods_value * median_rate) > $amount_min AS is_off
    FROM goods
)
SELECT
    CASE WHEN is_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN is_off THEN entry_summary_line_number END AS entry_summary_line_number,
    CASE WHEN is_off THEN median_rate END AS expected,
    CASE WHEN is_off THEN rate END AS actual,
    not_judged,
    count(*) AS unit_count
FROM told
GROUP BY
    1, 2, 3, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number,
    actual

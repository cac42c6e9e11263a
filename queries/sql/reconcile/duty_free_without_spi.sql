-- Which lines paid no duty and claim no special program, though the same product from the same country pays? `expected` is the duty at the median rate.
-- Trade compliance asks; a claim that was forgotten, or duty that is owed. Lines with a chapter 98 or 9902 number have another reason and are left out.
-- severity: warning
-- rule: general note 3 of the tariff schedule [G]
-- needs: tariff_lines.hts_number_full, tariff_lines.country_of_origin_code, tariff_lines.line_tariff_goods_value_amount, tariff_lines.line_tariff_duty_amount
-- evidence: tariff_lines line
-- work: rates
-- param: rows_min integer = 10; rows of the same product without which its median says nothing
-- param: amount_min money = 1.00; dollars of duty at the median rate
WITH freeing AS (
    SELECT DISTINCT
        entry_summary_number,
        entry_summary_line_number
    FROM tariff_lines
    WHERE
        hts_number_full LIKE '98%'
        OR hts_number_full LIKE '9902%'
),
goods AS (
    SELECT
        goods.entry_summary_number,
        goods.entry_summary_line_number,
        round_half_up_to_cents(goods.line_tariff_goods_value_amount * rates.rate) AS duty_at_median,
        CASE
            WHEN goods.country_of_origin_code IS NULL THEN 'ES-003 states no country of origin'
            WHEN rates.row_count < $rows_min THEN 'too few rows of the same product'
        END AS not_judged
    FROM tariff_lines AS goods
    INNER JOIN work.rates AS rates
        ON rates.hts_8 = left(goods.hts_number_full, 8)
        AND rates.country = coalesce(goods.country_of_origin_code, '')
        AND rates.program = ''
    LEFT ANTI JOIN freeing
        ON freeing.entry_summary_number = goods.entry_summary_number
        AND freeing.entry_summary_line_number = goods.entry_summary_line_number
    WHERE
        goods.line_spi_code IS NULL
        AND goods.line_tariff_duty_amount = 0
        AND goods.line_tariff_goods_value_amount > 0
        AND goods.hts_number_full NOT LIKE '99%'
        AND goods.hts_number_full NOT LIKE '98%'
        AND goods.entry_summary_number IS NOT NULL
),
told AS (
    SELECT
        *,
        not_judged IS NULL AND duty_at_median > $amount_min AS is_off
    FROM goods
)
SELECT
    CASE WHEN is_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN is_off THEN entry_summary_line_number END AS entry_summary_line_number,
    sum(CASE WHEN is_off THEN duty_at_median END) AS expected,
    CASE WHEN is_off THEN CAST('0.00' AS DECIMAL(18, 2)) END AS actual,
    not_judged,
    count(*) AS unit_count
FROM told
GROUP BY
    1, 2, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number

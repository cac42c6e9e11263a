-- On which products was duty paid without a special program, though one was claimed for the same product elsewhere?
-- Trade compliance asks; a product is a manufacturer, HTS 8 and country of origin. What was paid may be what a claim would save, if it holds.
WITH goods AS (
    SELECT
        manufacturer_id,
        left(hts_number_full, 8) AS hts_8,
        country_of_origin_code,
        line_spi_code,
        line_tariff_goods_value_amount AS goods_value,
        line_tariff_duty_amount AS duty
    FROM tariff_lines
    WHERE
        hts_number_full NOT LIKE '99%'
        AND hts_number_full NOT LIKE '98%'
)
SELECT
    manufacturer_id,
    hts_8,
    country_of_origin_code,
    max(line_spi_code) AS program_claimed_elsewhere,
    sum(CASE WHEN line_spi_code IS NOT NULL THEN 1 ELSE 0 END) AS rows_with_claim,
    sum(CASE WHEN line_spi_code IS NULL AND duty > 0 THEN 1 ELSE 0 END) AS rows_without_claim,
    sum(CASE WHEN line_spi_code IS NULL AND duty > 0 THEN goods_value END) AS goods_value_without_claim,
    sum(CASE WHEN line_spi_code IS NULL AND duty > 0 THEN duty END) AS duty_without_claim
FROM goods
GROUP BY
    manufacturer_id,
    hts_8,
    country_of_origin_code
HAVING
    max(line_spi_code) IS NOT NULL
    AND sum(CASE WHEN line_spi_code IS NULL AND duty > 0 THEN 1 ELSE 0 END) > 0
ORDER BY
    duty_without_claim DESC,
    manufacturer_id,
    hts_8

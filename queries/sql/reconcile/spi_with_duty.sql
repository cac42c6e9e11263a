-- On which lines is a special program claimed and duty still paid on the chapter 1-97 row? `actual` is that duty.
-- Trade compliance asks; most programs free the goods of duty, some only lower it, and a claim that brings nothing is worth a look.
-- severity: info
-- rule: general note 3(c) of the tariff schedule [G]
-- needs: tariff_lines.line_spi_code, tariff_lines.hts_number_full, tariff_lines.line_tariff_duty_amount
-- evidence: tariff_lines line
WITH goods AS (
    SELECT
        entry_summary_number,
        entry_summary_line_number,
        line_tariff_duty_amount AS duty,
        CASE WHEN line_tariff_duty_amount IS NULL THEN 'ES-003 states no duty' END AS not_judged,
        coalesce(line_tariff_duty_amount > 0, FALSE) AS is_off
    FROM tariff_lines
    WHERE
        line_spi_code IS NOT NULL
        AND hts_number_full NOT LIKE '99%'
        AND hts_number_full NOT LIKE '98%'
        AND entry_summary_number IS NOT NULL
)
SELECT
    CASE WHEN is_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN is_off THEN entry_summary_line_number END AS entry_summary_line_number,
    CASE WHEN is_off THEN CAST('0.00' AS DECIMAL(18, 2)) END AS expected,
    sum(CASE WHEN is_off THEN duty END) AS actual,
    not_judged,
    count(*) AS unit_count
FROM goods
GROUP BY
    1, 2, 3, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number

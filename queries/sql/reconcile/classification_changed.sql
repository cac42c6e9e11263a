-- Which lines classify a product unlike the rest: same manufacturer, same beginning of the tariff number, another number? `expected` is the usual number.
-- Trade compliance asks; over time, by port or by filer, one product should have one number. The report `classifications` shows all of them, with dates, ports and filers.
-- severity: info
-- rule: reasonable care, 19 U.S.C. 1484(a)(1) [G]
-- needs: tariff_lines.hts_number_full, tariff_lines.manufacturer_id
-- evidence: tariff_lines line
-- param: digits integer = 6; how much of the tariff number makes a product, with the manufacturer
-- param: rows_min integer = 20; rows of the product without which nothing is usual
-- param: share_max decimal = 0.10; a number used on at most this share of its rows is unlike the rest
WITH numbers AS (
    SELECT
        manufacturer_id,
        left(hts_number_full, $digits) AS product,
        hts_number_full,
        count(*) AS row_count
    FROM tariff_lines
    WHERE
        manufacturer_id IS NOT NULL
        AND hts_number_full NOT LIKE '99%'
        AND hts_number_full NOT LIKE '98%'
    GROUP BY
        manufacturer_id,
        left(hts_number_full, $digits),
        hts_number_full
),
products AS (
    SELECT
        manufacturer_id,
        product,
        sum(row_count) AS row_count,
        first_value(hts_number_full ORDER BY row_count DESC, hts_number_full) AS usual
    FROM numbers
    GROUP BY
        manufacturer_id,
        product
    HAVING count(*) > 1
),
odd AS (
    SELECT
        numbers.manufacturer_id,
        numbers.hts_number_full,
        products.usual
    FROM numbers
    INNER JOIN products
        ON products.manufacturer_id = numbers.manufacturer_id
        AND products.product = numbers.product
    WHERE
        products.row_count >= $rows_min
        AND numbers.hts_number_full <> products.usual
        AND numbers.row_count <= products.row_count * $share_max
),
told AS (
    SELECT
        goods.entry_summary_number,
        goods.entry_summary_line_number,
        goods.hts_number_full,
        odd.usual,
        odd.usual IS NOT NULL AS is_off,
        CASE WHEN goods.manufacturer_id IS NULL THEN 'ES-003 states no manufacturer' END AS not_judged
    FROM tariff_lines AS goods
    LEFT JOIN odd
        ON odd.manufacturer_id = goods.manufacturer_id
        AND odd.hts_number_full = goods.hts_number_full
    WHERE
        goods.hts_number_full NOT LIKE '99%'
        AND goods.hts_number_full NOT LIKE '98%'
        AND goods.entry_summary_number IS NOT NULL
)
SELECT
    CASE WHEN is_off THEN entry_summary_number END AS entry_summary_number,
    CASE WHEN is_off THEN entry_summary_line_number END AS entry_summary_line_number,
    CASE WHEN is_off THEN usual END AS expected,
    CASE WHEN is_off THEN hts_number_full END AS actual,
    not_judged,
    count(*) AS unit_count
FROM told
GROUP BY
    1, 2, 3, 4, 5
ORDER BY
    entry_summary_number,
    entry_summary_line_number,
    actual

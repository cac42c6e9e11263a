-- Which lines classify a product unlike the rest: same manufacturer, same beginning of the tariff number, another number? `expected` is the usual number.
-- Trade compliance asks; over time, by port or by filer, one product should have one number. The report `classifications` shows all of them, with dates, ports and filers.
-- severity: info
-- rule: reasonable care, 19 U.S.C. 1484(a)(1) [G]
-- needs: tariff_lines.hts_number_full, tariff_lines.manufacturer_id
-- evidence: tariff_lines line
-- work: numbers
-- param: digits integer = 6; how much of the tariff number makes a product, with the manufacturer
-- param: rows_min integer = 20; rows of the product without which nothing is usual
-- param: share_max decimal = 0.10; a number used on at most this share of its rows is unlike the rest
WITH products AS (
    SELECT
        manufacturer_id,
        left(hts_number_full, $digits) AS product,
        sum(row_count) AS row_count,
        first_value(hts_number_full ORDER BY row_count DESC, hts_number_full) AS usual
    FROM work.numbers
    WHERE manufacturer_id IS NOT NULL
    GROUP BY
        manufacturer_id,
        left(hts_number_full, $digits)
    HAVING count(*) > 1
),
odd AS (
    SELECT
        numbers.manufacturer_id,
        numbers.hts_number_full,
        products.usual
    FROM work.numbers AS numbers
    INNER JOIN products
        ON products.manufacturer_id = numbers.manufacturer_id
        AND products.product = left(numbers.hts_number_full, $digits)
    WHERE
        products.row_count >= $rows_min
        AND numbers.hts_number_full <> products.usual
        AND numbers.row_count <= products.row_count * $share_max
),
told AS (
    SELECT
        goods.entry_summary_number,
        goods.entry_summary_line_number,
        odd.usual AS expected,
        goods.hts_number_full AS actual,
        CAST(NULL AS VARCHAR) AS not_judged,
        count(*) AS unit_count
    FROM odd
    INNER JOIN tariff_lines AS goods
        ON odd.manufacturer_id = goods.manufacturer_id
        AND odd.hts_number_full = goods.hts_number_full
    GROUP BY
        1, 2, 3, 4
    UNION ALL
    SELECT
        CAST(NULL AS VARCHAR) AS entry_summary_number,
        CAST(NULL AS INTEGER) AS entry_summary_line_number,
        CAST(NULL AS VARCHAR) AS expected,
        CAST(NULL AS VARCHAR) AS actual,
        CASE WHEN numbers.manufacturer_id IS NULL THEN 'ES-003 states no manufacturer' END AS not_judged,
        numbers.row_count AS unit_count
    FROM work.numbers AS numbers
    LEFT JOIN odd
        ON odd.manufacturer_id = numbers.manufacturer_id
        AND odd.hts_number_full = numbers.hts_number_full
    WHERE odd.usual IS NULL
)
SELECT
    entry_summary_number,
    entry_summary_line_number,
    expected,
    actual,
    not_judged,
    unit_count
FROM told
ORDER BY
    entry_summary_number,
    entry_summary_line_number,
    actual

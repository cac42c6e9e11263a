-- What did CBP say otherwise at the second point in time than at the first, row by row: value, duty and what came or went?
-- Auditors and brokers ask after a restatement; $1 and $2 are the instants, included. Rows that agree in both amounts are left out.
WITH
header_before_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_001
    WHERE _as_of <= $1
    GROUP BY
        entry_summary_number,
        _delivery_id
),
header_before_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM header_before_held
    GROUP BY
        entry_summary_number
),
header_before AS (
    SELECT
        es_001.entry_summary_number,
        CAST(NULL AS INTEGER) AS entry_summary_line_number,
        CAST(NULL AS INTEGER) AS tariff_ordinal_number,
        sum(es_001.total_goods_value_amount) AS goods_value_amount,
        sum(es_001.total_duty_amount) AS duty_amount,
        max(es_001._delivery_id) AS delivery_id
    FROM es_001
    LEFT SEMI JOIN header_before_latest
        ON es_001.entry_summary_number = header_before_latest.entry_summary_number
        AND es_001._delivery_id = header_before_latest._delivery_id
    GROUP BY
        es_001.entry_summary_number
),
header_after_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_001
    WHERE _as_of <= $2
    GROUP BY
        entry_summary_number,
        _delivery_id
),
header_after_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM header_after_held
    GROUP BY
        entry_summary_number
),
header_after AS (
    SELECT
        es_001.entry_summary_number,
        CAST(NULL AS INTEGER) AS entry_summary_line_number,
        CAST(NULL AS INTEGER) AS tariff_ordinal_number,
        sum(es_001.total_goods_value_amount) AS goods_value_amount,
        sum(es_001.total_duty_amount) AS duty_amount,
        max(es_001._delivery_id) AS delivery_id
    FROM es_001
    LEFT SEMI JOIN header_after_latest
        ON es_001.entry_summary_number = header_after_latest.entry_summary_number
        AND es_001._delivery_id = header_after_latest._delivery_id
    GROUP BY
        es_001.entry_summary_number
),
line_before_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_002
    WHERE _as_of <= $1
    GROUP BY
        entry_summary_number,
        _delivery_id
),
line_before_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM line_before_held
    GROUP BY
        entry_summary_number
),
line_before AS (
    SELECT
        es_002.entry_summary_number,
        es_002.entry_summary_line_number AS entry_summary_line_number,
        CAST(NULL AS INTEGER) AS tariff_ordinal_number,
        sum(es_002.line_goods_value_amount) AS goods_value_amount,
        sum(es_002.line_duty_amount) AS duty_amount,
        max(es_002._delivery_id) AS delivery_id
    FROM es_002
    LEFT SEMI JOIN line_before_latest
        ON es_002.entry_summary_number = line_before_latest.entry_summary_number
        AND es_002._delivery_id = line_before_latest._delivery_id
    GROUP BY
        es_002.entry_summary_number,
        es_002.entry_summary_line_number
),
line_after_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_002
    WHERE _as_of <= $2
    GROUP BY
        entry_summary_number,
        _delivery_id
),
line_after_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM line_after_held
    GROUP BY
        entry_summary_number
),
line_after AS (
    SELECT
        es_002.entry_summary_number,
        es_002.entry_summary_line_number AS entry_summary_line_number,
        CAST(NULL AS INTEGER) AS tariff_ordinal_number,
        sum(es_002.line_goods_value_amount) AS goods_value_amount,
        sum(es_002.line_duty_amount) AS duty_amount,
        max(es_002._delivery_id) AS delivery_id
    FROM es_002
    LEFT SEMI JOIN line_after_latest
        ON es_002.entry_summary_number = line_after_latest.entry_summary_number
        AND es_002._delivery_id = line_after_latest._delivery_id
    GROUP BY
        es_002.entry_summary_number,
        es_002.entry_summary_line_number
),
tariff_before_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_003
    WHERE _as_of <= $1
    GROUP BY
        entry_summary_number,
        _delivery_id
),
tariff_before_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM tariff_before_held
    GROUP BY
        entry_summary_number
),
tariff_before AS (
    SELECT
        es_003.entry_summary_number,
        es_003.entry_summary_line_number AS entry_summary_line_number,
        es_003.tariff_ordinal_number AS tariff_ordinal_number,
        sum(es_003.line_tariff_goods_value_amount) AS goods_value_amount,
        sum(es_003.line_tariff_duty_amount) AS duty_amount,
        max(es_003._delivery_id) AS delivery_id
    FROM es_003
    LEFT SEMI JOIN tariff_before_latest
        ON es_003.entry_summary_number = tariff_before_latest.entry_summary_number
        AND es_003._delivery_id = tariff_before_latest._delivery_id
    GROUP BY
        es_003.entry_summary_number,
        es_003.entry_summary_line_number,
        es_003.tariff_ordinal_number
),
tariff_after_held AS (
    SELECT
        entry_summary_number,
        _delivery_id,
        max(_as_of) AS _as_of
    FROM es_003
    WHERE _as_of <= $2
    GROUP BY
        entry_summary_number,
        _delivery_id
),
tariff_after_latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) AS _delivery_id
    FROM tariff_after_held
    GROUP BY
        entry_summary_number
),
tariff_after AS (
    SELECT
        es_003.entry_summary_number,
        es_003.entry_summary_line_number AS entry_summary_line_number,
        es_003.tariff_ordinal_number AS tariff_ordinal_number,
        sum(es_003.line_tariff_goods_value_amount) AS goods_value_amount,
        sum(es_003.line_tariff_duty_amount) AS duty_amount,
        max(es_003._delivery_id) AS delivery_id
    FROM es_003
    LEFT SEMI JOIN tariff_after_latest
        ON es_003.entry_summary_number = tariff_after_latest.entry_summary_number
        AND es_003._delivery_id = tariff_after_latest._delivery_id
    GROUP BY
        es_003.entry_summary_number,
        es_003.entry_summary_line_number,
        es_003.tariff_ordinal_number
)
SELECT
    'ES-001' AS report,
    coalesce(header_after.entry_summary_number, header_before.entry_summary_number) AS entry_summary_number,
    coalesce(header_after.entry_summary_line_number, header_before.entry_summary_line_number) AS entry_summary_line_number,
    coalesce(header_after.tariff_ordinal_number, header_before.tariff_ordinal_number) AS tariff_ordinal_number,
    CASE
        WHEN header_before.entry_summary_number IS NULL THEN 'added'
        WHEN header_after.entry_summary_number IS NULL THEN 'removed'
        ELSE 'changed'
    END AS change,
    header_before.goods_value_amount AS goods_value_before,
    header_after.goods_value_amount AS goods_value_after,
    header_before.duty_amount AS duty_before,
    header_after.duty_amount AS duty_after,
    header_before.delivery_id AS delivery_id_before,
    header_after.delivery_id AS delivery_id_after
FROM header_before
FULL JOIN header_after
    ON header_before.entry_summary_number = header_after.entry_summary_number
WHERE
    header_before.entry_summary_number IS NULL
    OR header_after.entry_summary_number IS NULL
    OR (header_before.goods_value_amount IS DISTINCT FROM header_after.goods_value_amount)
    OR (header_before.duty_amount IS DISTINCT FROM header_after.duty_amount)
UNION ALL
SELECT
    'ES-002' AS report,
    coalesce(line_after.entry_summary_number, line_before.entry_summary_number) AS entry_summary_number,
    coalesce(line_after.entry_summary_line_number, line_before.entry_summary_line_number) AS entry_summary_line_number,
    coalesce(line_after.tariff_ordinal_number, line_before.tariff_ordinal_number) AS tariff_ordinal_number,
    CASE
        WHEN line_before.entry_summary_number IS NULL THEN 'added'
        WHEN line_after.entry_summary_number IS NULL THEN 'removed'
        ELSE 'changed'
    END AS change,
    line_before.goods_value_amount AS goods_value_before,
    line_after.goods_value_amount AS goods_value_after,
    line_before.duty_amount AS duty_before,
    line_after.duty_amount AS duty_after,
    line_before.delivery_id AS delivery_id_before,
    line_after.delivery_id AS delivery_id_after
FROM line_before
FULL JOIN line_after
    ON line_before.entry_summary_number = line_after.entry_summary_number
    AND line_before.entry_summary_line_number = line_after.entry_summary_line_number
WHERE
    line_before.entry_summary_number IS NULL
    OR line_after.entry_summary_number IS NULL
    OR (line_before.goods_value_amount IS DISTINCT FROM line_after.goods_value_amount)
    OR (line_before.duty_amount IS DISTINCT FROM line_after.duty_amount)
UNION ALL
SELECT
    'ES-003' AS report,
    coalesce(tariff_after.entry_summary_number, tariff_before.entry_summary_number) AS entry_summary_number,
    coalesce(tariff_after.entry_summary_line_number, tariff_before.entry_summary_line_number) AS entry_summary_line_number,
    coalesce(tariff_after.tariff_ordinal_number, tariff_before.tariff_ordinal_number) AS tariff_ordinal_number,
    CASE
        WHEN tariff_before.entry_summary_number IS NULL THEN 'added'
        WHEN tariff_after.entry_summary_number IS NULL THEN 'removed'
        ELSE 'changed'
    END AS change,
    tariff_before.goods_value_amount AS goods_value_before,
    tariff_after.goods_value_amount AS goods_value_after,
    tariff_before.duty_amount AS duty_before,
    tariff_after.duty_amount AS duty_after,
    tariff_before.delivery_id AS delivery_id_before,
    tariff_after.delivery_id AS delivery_id_after
FROM tariff_before
FULL JOIN tariff_after
    ON tariff_before.entry_summary_number = tariff_after.entry_summary_number
    AND tariff_before.entry_summary_line_number = tariff_after.entry_summary_line_number
    AND tariff_before.tariff_ordinal_number = tariff_after.tariff_ordinal_number
WHERE
    tariff_before.entry_summary_number IS NULL
    OR tariff_after.entry_summary_number IS NULL
    OR (tariff_before.goods_value_amount IS DISTINCT FROM tariff_after.goods_value_amount)
    OR (tariff_before.duty_amount IS DISTINCT FROM tariff_after.duty_amount)

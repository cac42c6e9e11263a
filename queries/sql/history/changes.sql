-- What did CBP say otherwise at the second point in time than at the first: column by column, and which rows came or went?
-- Auditors and brokers ask after a restatement; $1 and $2 are the instants, included. Asked of each report; {...} are its own names.
WITH latest AS (
    SELECT
        entry_summary_number,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) FILTER (WHERE _as_of <= $1) AS before_id,
        first_value(_delivery_id ORDER BY _as_of DESC, _delivery_id DESC) FILTER (WHERE _as_of <= $2) AS after_id
    FROM {table}
    WHERE _as_of <= $1 OR _as_of <= $2
    GROUP BY
        entry_summary_number
),
-- One delivery never contradicts itself: only an entry that another delivery holds by then can have changed.
touched AS (
    SELECT
        *
    FROM latest
    WHERE before_id IS DISTINCT FROM after_id
),
old AS (
    SELECT
        {table}.*,
        -- A grain delivered twice is compared in the order of the file.
        row_number() OVER (PARTITION BY {grain} ORDER BY {table}._line ASC) AS nth
    FROM touched
    INNER JOIN {table}
        ON {table}.entry_summary_number = touched.entry_summary_number
        AND {table}._delivery_id = touched.before_id
    WHERE {table}._as_of <= $1
),
new AS (
    SELECT
        {table}.*,
        row_number() OVER (PARTITION BY {grain} ORDER BY {table}._line ASC) AS nth
    FROM touched
    INNER JOIN {table}
        ON {table}.entry_summary_number = touched.entry_summary_number
        AND {table}._delivery_id = touched.after_id
    WHERE {table}._as_of <= $2
),
pairs AS (
    SELECT
        coalesce(new.entry_summary_number, old.entry_summary_number) AS entry_summary_number,
        {line} AS entry_summary_line_number,
        {ordinal} AS tariff_ordinal_number,
        CASE
            WHEN old.entry_summary_number IS NULL THEN 'added'
            WHEN new.entry_summary_number IS NULL THEN 'removed'
            ELSE 'changed'
        END AS change,
        CASE
            WHEN old.entry_summary_number IS NULL OR new.entry_summary_number IS NULL
                THEN make_array({no_cell})
            ELSE make_array({cells})
        END AS cells,
        -- In a struct, columns shed their field ids, which differ from report to report and which a union trips over.
        named_struct(
            'goods_value_before', old.{value},
            'goods_value_after', new.{value},
            'duty_before', old.{duty},
            'duty_after', new.{duty},
            'delivery_id_before', old._delivery_id,
            'delivery_id_after', new._delivery_id
        ) AS sides
    FROM old
    FULL JOIN new
        ON {same}
        AND old.nth = new.nth
    WHERE
        old.entry_summary_number IS NULL
        OR new.entry_summary_number IS NULL
        OR {differs}
),
told AS (
    SELECT
        *,
        unnest(cells) AS cell
    FROM pairs
)
SELECT
    '{report}' AS report,
    entry_summary_number,
    entry_summary_line_number,
    tariff_ordinal_number,
    change,
    cell['column_name'] AS column_name,
    cell['before'] AS before,
    cell['after'] AS after,
    sides['goods_value_before'] AS goods_value_before,
    sides['goods_value_after'] AS goods_value_after,
    sides['duty_before'] AS duty_before,
    sides['duty_after'] AS duty_after,
    sides['delivery_id_before'] AS delivery_id_before,
    sides['delivery_id_after'] AS delivery_id_after
FROM told
WHERE
    change <> 'changed'
    OR (cell['before'] IS DISTINCT FROM cell['after'])

{{ config(materialized='view', schema='live') }}

with movies as (
    {{ movies_unioned('left join') }}
),

stamped as (
    select
        movies.*,
        movies.written_at as created_timestamp
    from movies
)

select * from stamped

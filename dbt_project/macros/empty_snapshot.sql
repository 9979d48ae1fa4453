{#-
    `dbt run` takes no snapshot, and on a new database there is none yet: then it is made empty, in the shape that dbt
    gives it, and the next `dbt build` or `dbt snapshot` fills it. Until then int_movie_rating_events reads the newest
    ratings from the raw table.
-#}
{% macro make_empty_snapshot() -%}
    {%- if execute and flags.WHICH == 'run' -%}
        {%- set raw = source('raw', 'movies') -%}
        {%- if load_relation(raw) is none -%}
            {%- do exceptions.raise_compiler_error(
                'There is no table ' ~ raw ~ ' to read. Make it (python -m common.migrations) and load films (python -m '
                ~ 'ingestion load), or let `make up` do both.'
            ) -%}
        {%- endif -%}
        {%- set snapshot = graph.nodes.values() | selectattr('name', 'equalto', 'snp_movies') | first -%}
        create schema if not exists "{{ snapshot.schema }}";
        create table if not exists {{ snapshot.relation_name }} as
        select
            movies.*,
            null::text as dbt_scd_id,
            movies.{{ snapshot.config.updated_at }} as dbt_updated_at,
            movies.{{ snapshot.config.updated_at }} as dbt_valid_from,
            movies.{{ snapshot.config.updated_at }} as dbt_valid_to
        from {{ raw }} as movies
        where false;
    {%- endif -%}
{%- endmacro %}

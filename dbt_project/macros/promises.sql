{#-
    What a registered feature service reads keeps its name and type. feature_repo/publish.py has written it down in
    online.service_columns, and a build that takes any of it away is not published. Adding columns is free. A model that
    is not in this run keeps what it has published, unless it has left the project: docs/decisions/0015-no-drift.md
-#}
{% macro broken_promise(built) -%}
    {%- set broken = [] -%}
    {%- for loss in lost_columns(built) if loss['has_left'] or loss['feature'] not in var('allow_breaking') -%}
        {%- do broken.append(loss) -%}
    {%- endfor -%}
    {%- if not broken -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set first = broken[0] -%}
    {%- set more = ', and ' ~ (broken | length - 1) ~ ' more columns' if broken | length > 1 else '' -%}
    {%- if first['has_left'] -%}
        {%- set fate, keep = 'have left the project', 'Bring the model back' -%}
        {%- set cure = 'drop what it has published, by hand' -%}
    {%- else -%}
        {%- set fate = 'be ' ~ (
            first['built_type'] ~ ' instead of ' ~ first['data_type'] if first['built_type'] else 'gone'
        ) -%}
        {%- set keep = 'Keep it and add what is new beside it, for a new version of the service' -%}
        {%- set cure = "break it on purpose: --vars 'allow_breaking: [" ~ broken | map(attribute='feature') | join(', ') ~ "]'" -%}
    {%- endif -%}
    {{ return(
        'Nothing was published, the last good tables stay: ' ~ first['feature'] ~ ' would ' ~ fate
        ~ ' (' ~ first['relations'] ~ more ~ '), and the feature services ' ~ first['services'] ~ ' read it. ' ~ keep
        ~ '; or ' ~ cure ~ '. See docs/decisions/0015-no-drift.md.'
    ) }}
{%- endmacro %}

{#-
    Columns that services read, that are published with the promised type, in the feature table or in the live view,
    and that this build takes away; built_type is null where the column is gone.
-#}
{% macro lost_columns(built) -%}
    {%- set promises = api.Relation.create(database=target.database, schema='online', identifier='service_columns') -%}
    {%- if load_relation(promises) is none -%}
        {{ return([]) }}  {#- no service was ever registered -#}
    {%- endif -%}
    {%- set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | list -%}
    {%- set query -%}
        with promised as (
            select *, table_name as relation from {{ promises }}
            union all
            select *, 'live.live_movie_features' as relation from {{ promises }}
        ),

        compared as (
            select
                split_part(promised.table_name, '.', 2) || '.' || promised.column_name as feature,
                promised.relation,
                promised.data_type,
                promised.feature_service,
                promised.relation not in ({{ published_names(models) }}) as has_left,
                format_type(new_column.atttypid, new_column.atttypmod) as built_type
            from promised
            inner join pg_catalog.pg_attribute as old_column
                on
                    old_column.attrelid = to_regclass(promised.relation)
                    and old_column.attname = promised.column_name
                    and format_type(old_column.atttypid, old_column.atttypmod) = promised.data_type
            left join pg_catalog.pg_attribute as new_column
                on
                    new_column.attrelid = to_regclass('build_' || promised.relation)
                    and new_column.attname = promised.column_name
                    and promised.relation in ({{ published_names(built) }})
            where promised.relation in ({{ published_names(built) }}) or promised.relation not in ({{ published_names(models) }})
        )

        select
            feature,
            data_type,
            bool_or(has_left) as has_left,
            min(built_type) as built_type,
            string_agg(distinct relation, ' and ') as relations,
            string_agg(distinct feature_service, ', ') as services
        from compared
        where built_type is distinct from data_type
        group by feature, data_type
        order by feature
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{%- endmacro %}

{#- Where models are published, as a list of SQL texts: 'features.ftr_movie_cast', ... -#}
{% macro published_names(models) -%}
    {%- for node in models %}'{{ node.schema.removeprefix('build_') }}.{{ node.alias }}'{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}

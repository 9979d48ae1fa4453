{#-
    Write, audit, publish: models are built and tested in `build_<schema>`, and when everything in the run succeeded,
    what it built is brought into the schemas that Feast, training and serving read, in one transaction. A failed test,
    a broken model or a killed dbt leaves them as they were. Why by rows and not by a swap of names:
    docs/decisions/0013-write-audit-publish.md.
-#}
{% macro publish(results) -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') and not flags.EMPTY -%}
        {%- set failed = [] -%}
        {%- set built = [] -%}
        {%- for result in results -%}
            {%- if result.status in ['error', 'fail', 'runtime error', 'skipped', 'partial success'] -%}
                {%- do failed.append(result.node.name) -%}
            {%- elif result.node.resource_type == 'model' and result.node.schema.startswith('build_') -%}
                {%- do built.append(result.node) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if failed -%}
            {%- do log(
                'Nothing was published, the last good tables stay: ' ~ failed | length ~ ' failed or skipped ('
                ~ failed[:3] | join(', ') ~ ').', info=true
            ) -%}
        {%- elif built -%}
            {%- set problem = broken_promise(built) -%}
            {{ refuse(problem) if problem else publish_relations(built) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- SQL that fails with a sentence: the hook, and with it dbt, ends as failed. -#}
{% macro refuse(problem) -%}
    do $do$ begin raise exception using message = '{{ problem | replace("'", "''") }}'; end $do$;
{%- endmacro %}

{#- The transaction; `built` is in the order of the run, so each view follows what it reads. -#}
{% macro publish_relations(built) -%}
    {%- set shapes = relation_shapes() -%}
    begin;
    {%- for node in built %}
        {%- set name = node.alias -%}
        {%- set schema = node.schema.removeprefix('build_') -%}
        {%- set published = '"' ~ schema ~ '"."' ~ name ~ '"' -%}
        {%- set old = shapes.get(schema ~ '.' ~ name) -%}
        {%- set is_same = old == shapes[node.schema ~ '.' ~ name] -%}
        {%- if not old %}
    create schema if not exists "{{ schema }}";
        {%- elif not is_same %}
    drop {{ 'view' if old.startswith('v') else 'table' }} if exists {{ published }} cascade;
        {%- endif %}
        {%- if node.config.materialized == 'view' %}
    create or replace view {{ published }} as ({{ node.compiled_code | replace('."build_', '."') }}
    );
        {%- else %}
            {{- publish_rows('"' ~ node.schema ~ '"."' ~ name ~ '"', published, unique_key(node), is_same) }}
        {%- endif %}
    {%- endfor %}
    {{ nothing_is_lost(shapes) }}
    commit;
{%- endmacro %}

{#- Make `published` equal to `build`. Rows that did not change are not touched, and readers are never locked out. -#}
{% macro publish_rows(build, published, key, is_same) %}
    {%- if not is_same %}
    create table {{ published }} (like {{ build }} including all);
    insert into {{ published }} select * from {{ build }};
    {%- elif key %}
    delete from {{ published }} as old
    using (table {{ published }} except table {{ build }}) as gone
    where {% for column in key %}old.{{ column }} = gone.{{ column }}{{ ' and ' if not loop.last }}{% endfor %};
    insert into {{ published }} (table {{ build }} except table {{ published }});
    {%- else %}
    delete from {{ published }};
    insert into {{ published }} select * from {{ build }};
    {%- endif %}
{%- endmacro %}

{#- The columns of the model's first unique index; none without one. -#}
{% macro unique_key(node) -%}
    {{ return((node.config.get('indexes', []) | selectattr('unique') | map(attribute='columns') | list + [[]])[0]) }}
{%- endmacro %}

{#- Kind, columns and indexes of every relation, built and published, as one text each: equal texts, equal shapes. -#}
{% macro relation_shapes() -%}
    {%- set query -%}
        select
            namespace.nspname || '.' || relation.relname as name,
            relation.relkind::text || ' ' || (
                select string_agg(
                    attribute.attname || ' ' || format_type(attribute.atttypid, attribute.atttypmod)
                    || case when attribute.attnotnull then ' not null' else '' end, ', ' order by attribute.attnum
                )
                from pg_catalog.pg_attribute as attribute
                where attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
            ) || coalesce((
                select string_agg(index.shape, ';' order by index.shape)
                from (
                    select regexp_replace(pg_get_indexdef(indexrelid), 'INDEX .* USING', 'INDEX USING') as shape
                    from pg_catalog.pg_index
                    where indrelid = relation.oid
                ) as index
            ), '') as shape
        from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            relation.relkind in ('r', 'v')
            and regexp_replace(namespace.nspname, '^build_', '') in ('{{ published_schemas() | join("', '") }}')
    {%- endset -%}
    {%- set shapes = {} -%}
    {%- for row in run_query(query).rows -%}
        {%- do shapes.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(shapes) }}
{%- endmacro %}

{#- A changed table takes the views on it along; a full build makes them again, a part of one must not lose them. -#}
{% macro nothing_is_lost(shapes) -%}
    do $do$
    declare
        lost text;
    begin
        select string_agg(name, ', ') into lost
        from unnest(array[
            {%- for name in shapes if not name.startswith('build_') %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor -%}
        ]::text[]) as known (name)
        where to_regclass(name) is null;
        if lost is not null then
            raise exception 'Publishing this would drop %. Run a whole dbt build; what is no model of this project, drop first.', lost;
        end if;
    end
    $do$;
{%- endmacro %}

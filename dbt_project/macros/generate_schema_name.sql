{#- The schemas that others read. dbt builds and tests their relations in `build_<schema>`: macros/publish.sql. -#}
{% macro published_schemas() -%}
    {{ return(['staging', 'features', 'live', 'marts', 'monitoring']) }}
{%- endmacro %}

{#- Schemas are named as they are configured: features, not <target>_features. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set schema = (custom_schema_name or target.schema) | trim -%}
    {{ 'build_' ~ schema if node.resource_type == 'model' and schema in published_schemas() else schema }}
{%- endmacro %}

{#-
    Undo HTML entities and trim; empty text is unknown. `&amp;` goes last, so that `&amp;lt;` becomes `&lt;` and not `<`.
    `like` first: nearly no text has an entity, and seven replaces cost more than one look.
-#}
{% macro clean_text(column) -%}
    nullif(
        trim(
            case
                when {{ column }} like '%&%;%'
                    then
                        {%- set entities = {
                            '&quot;': '"', '&#34;': '"', '&#034;': '"', '&apos;': "''", '&#39;': "''", '&#039;': "''",
                            '&lt;': '<', '&gt;': '>', '&nbsp;': ' ', '&eacute;': 'é', '&amp;': '&'
                        } %}
                        {% for _ in entities %}replace({% endfor %}{{ column }}
                        {%- for entity, character in entities.items() %}, '{{ entity }}', '{{ character }}'){% endfor %}
                else {{ column }}
            end
        ),
        ''
    )
{%- endmacro %}

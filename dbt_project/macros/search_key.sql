{#-
    A title without case, accents and punctuation, as people type it: "Amélie!" and "amelie" have one key.
    The same rule as `search_key()` in common/tmdb/titles.py; a contract test compares the two.
    Ranges instead of classes: what counts as a letter would depend on the server's locale.
-#}
{% macro search_key(column) -%}
    coalesce(
        nullif(
            trim(
                regexp_replace(
                    regexp_replace(
                        replace(
                            lower(regexp_replace(normalize({{ column }}, nfkd), '[\u0300-\u036f]', '', 'g')), '&', ' and '
                        ),
                        '[''’ʼ`]', '', 'g'
                    ),
                    '[\s!-/:-@\[-^{-~\u00a1-\u00bf\u2000-\u206f\u3000-\u303f]+', ' ', 'g'
                )
            ),
            ''
        ),
        lower({{ column }})
    )
{%- endmacro %}

{{ config(indexes=[{'columns': ['genre_name', 'decade'], 'unique': true}]) }}

{{ pass_rate_by_listed('genres', 'genre_name', beside='decade') }}

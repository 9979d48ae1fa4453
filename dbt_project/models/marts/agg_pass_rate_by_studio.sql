{{ config(indexes=[{'columns': ['studio_name'], 'unique': true}]) }}

{{ pass_rate_by_listed('companies', 'studio_name', fewest=var('fewest_films_of_a_group')) }}

{{ config(indexes=[{'columns': ['country_name'], 'unique': true}]) }}

{{ pass_rate_by_listed('countries', 'country_name', fewest=var('fewest_films_of_a_group')) }}

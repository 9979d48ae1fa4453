-- Least privilege: one database role for each part, and what it may do. `python -m orchestration.roles` runs this as
-- the owner of the database, in one transaction, as often as you like: grants that are no longer written here go.
--
-- A part owns the schemas that it makes anew (dbt its models, Feast registry and online store, MLflow its store), so
-- that it can replace its tables; everything else it gets by grant. Passwords are set apart: nothing here is secret.

-- One row per role.
create temporary table wanted_roles (role_name text, may_create_schemas boolean, may_use_temporary boolean)
on commit drop;
insert into wanted_roles values
    ('bechdel_ingest', false, true),
    ('bechdel_dbt', true, true),
    ('bechdel_feast', true, true),  -- publish.py says `create schema if not exists`, which asks for the right first
    ('bechdel_training', false, true),  -- the point-in-time join ships its films in a temporary table
    ('bechdel_serving', false, false),
    ('bechdel_mlflow', false, false);

-- Schemas made if absent and handed to the part that fills them. Our own (raw, ops, serving) stay with the owner.
create temporary table wanted_owners (schema_name text, role_name text) on commit drop;
insert into wanted_owners values
    ('staging', 'bechdel_dbt'),
    ('intermediate', 'bechdel_dbt'),
    ('features', 'bechdel_dbt'),
    ('live', 'bechdel_dbt'),
    ('marts', 'bechdel_dbt'),
    ('monitoring', 'bechdel_dbt'),
    ('snapshots', 'bechdel_dbt'),
    ('feast', 'bechdel_feast'),
    ('online', 'bechdel_feast'),
    ('mlflow', 'bechdel_mlflow');
-- where dbt builds before it publishes
insert into wanted_owners
select nspname, 'bechdel_dbt' from pg_namespace where nspname like 'build\_%';

-- What a role may do in a schema that it does not own: on all tables, those of tomorrow included, or on some.
create temporary table wanted_grants (role_name text, schema_name text, table_names text[], privileges text)
on commit drop;
insert into wanted_grants values
    ('bechdel_ingest', 'raw', null, 'select, insert, update, delete'),
    ('bechdel_dbt', 'raw', null, 'select'),
    ('bechdel_dbt', 'serving', null, 'select'),  -- monitoring marts over the prediction log
    ('bechdel_dbt', 'online', null, 'select'),  -- which columns registered services read: macros/promises.sql
    ('bechdel_feast', 'features', null, 'select'),
    ('bechdel_training', 'features', null, 'select'),
    ('bechdel_training', 'feast', null, 'select'),
    ('bechdel_training', 'raw', '{movies}', 'select'),  -- titles and flags beside the labels
    ('bechdel_serving', 'feast', null, 'select'),
    ('bechdel_serving', 'online', null, 'select'),
    ('bechdel_serving', 'features', null, 'select'),  -- the known rating beside the prediction
    ('bechdel_serving', 'live', null, 'select'),
    ('bechdel_serving', 'staging', null, 'select'),  -- casts for the page
    ('bechdel_serving', 'marts', null, 'select'),
    ('bechdel_serving', 'monitoring', null, 'select'),
    ('bechdel_serving', 'raw', '{tmdb_movies}', 'select, insert, update, delete'),  -- live answers land and expire
    ('bechdel_serving', 'raw', '{movies, movies_rejected, tmdb_movies_rejected}', 'select'),  -- counts, for a page
    ('bechdel_serving', 'serving', null, 'select, insert, update, delete');

do $$
declare
    wanted record;
    statement text;
    object_owner text;
begin
    -- roles
    for wanted in select * from wanted_roles loop
        if to_regrole(wanted.role_name) is null then
            execute format('create role %I login', wanted.role_name);
        end if;
        execute format(
            'alter role %I login nocreatedb nocreaterole connection limit 100', wanted.role_name
        );
        if not pg_has_role(current_user, wanted.role_name, 'set') then
            execute format('grant %I to current_user', wanted.role_name);
        end if;
        execute format('alter role %I in database %I set timezone to %L', wanted.role_name, current_database(), 'UTC');
    end loop;
    execute format('alter role bechdel_mlflow in database %I set search_path to mlflow', current_database());

    -- owners, also of what one role had made for all before
    for wanted in select * from wanted_owners loop
        execute format('create schema if not exists %I', wanted.schema_name);
        -- to be handed a schema asks for the right to make one; it is taken back below
        execute format('grant create on database %I to %I', current_database(), wanted.role_name);
        execute format('alter schema %I owner to %I', wanted.schema_name, wanted.role_name);
        for statement in
            select format(
                'alter %s %I.%I owner to %I',
                case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
                wanted.schema_name, relname, wanted.role_name
            )
            from pg_class
            where
                relnamespace = to_regnamespace(quote_ident(wanted.schema_name))
                and relkind in ('r', 'p', 'v', 'm')
                and relowner <> to_regrole(wanted.role_name)
        loop
            execute statement;
        end loop;
    end loop;

    -- the database and schema public: nobody by default
    execute format('revoke all on database %I from public', current_database());
    revoke create on schema public from public;
    for wanted in select * from wanted_roles loop
        execute format('revoke all on database %I from %I', current_database(), wanted.role_name);
        execute format('grant connect on database %I to %I', current_database(), wanted.role_name);
        if wanted.may_create_schemas then
            execute format('grant create on database %I to %I', current_database(), wanted.role_name);
        end if;
        if wanted.may_use_temporary then
            execute format('grant temporary on database %I to %I', current_database(), wanted.role_name);
        end if;
    end loop;

    -- nothing is left from earlier versions of this file
    for wanted in
        select role_name, nspname as schema_name
        from wanted_roles
        cross join pg_namespace
        where
            nspname !~ '^pg_' and nspname not in ('information_schema', 'public')
            and pg_get_userbyid(nspowner) <> role_name
    loop
        execute format('revoke all on schema %I from %I', wanted.schema_name, wanted.role_name);
        execute format('revoke all on all tables in schema %I from %I', wanted.schema_name, wanted.role_name);
        execute format('revoke all on all sequences in schema %I from %I', wanted.schema_name, wanted.role_name);
    end loop;
    for statement in  -- nor for the tables of tomorrow
        select format(
            'alter default privileges for role %I in schema %I revoke all on %s from %I',
            pg_get_userbyid(defaclrole), nspname, case defaclobjtype when 'r' then 'tables' else 'sequences' end,
            role_name
        )
        from pg_default_acl
        inner join pg_namespace on pg_namespace.oid = defaclnamespace
        cross join wanted_roles
        where defaclobjtype in ('r', 'S') and pg_has_role(defaclrole, 'usage')
    loop
        execute statement;
    end loop;

    -- grants
    for wanted in
        select wanted_grants.*, pg_get_userbyid(nspowner) as schema_owner
        from wanted_grants
        inner join pg_namespace on nspname = schema_name
    loop
        object_owner := wanted.schema_owner;
        execute format('grant usage on schema %I to %I', wanted.schema_name, wanted.role_name);
        if wanted.table_names is null then
            execute format(
                'grant %s on all tables in schema %I to %I', wanted.privileges, wanted.schema_name, wanted.role_name
            );
            execute format(
                'alter default privileges for role %I in schema %I grant %s on tables to %I',
                object_owner, wanted.schema_name, wanted.privileges, wanted.role_name
            );
        else
            for statement in
                select format('grant %s on %I.%I to %I', wanted.privileges, wanted.schema_name, t, wanted.role_name)
                from unnest(wanted.table_names) as t
            loop
                execute statement;
            end loop;
        end if;
        if wanted.privileges ~ 'insert' then
            execute format(
                'grant usage on all sequences in schema %I to %I', wanted.schema_name, wanted.role_name
            );
            execute format(
                'alter default privileges for role %I in schema %I grant usage on sequences to %I',
                object_owner, wanted.schema_name, wanted.role_name
            );
        end if;
    end loop;
end
$$;

import { expect, test } from '@jest/globals';
import { isObjectType } from 'graphql';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { PERSONAL_FIELDS, personalDataFinder } from './personal-data.ts';

const firstIn = (body: string) => personalDataFinder(API_SCHEMA)({ sha256: body, body });

test('fields with personal data are fields that there are', () => {
  const fields = Object.values(API_SCHEMA.getTypeMap()).flatMap((type) =>
    isObjectType(type) ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`) : [],
  );
  expect([...PERSONAL_FIELDS].filter((field) => !fields.includes(field))).toEqual([]);
});

test.each([
  ['query A { auditLogs { nodes { createdAt ipAddress user { email } } } }', 'AuditLog.ipAddress'],
  [
    'query A { flag(key: "x") { history { nodes { ...E } } } } fragment E on AuditLog { user { id name } }',
    'User.name',
  ],
  ['query A { flags { nodes { by: updatedBy { ... on User { address: email } } } } }', 'User.email'],
  ['subscription A { auditTrail { afterValue } }', 'AuditLog.afterValue'],
  ['query A { flag(key: "x") { key updatedBy { id } } }', null],
  ['query A { auditLogs { nodes { action createdAt flag { key } } } }', null],
])('%s reads %s', (body, field) => {
  expect(firstIn(body)).toBe(field);
});

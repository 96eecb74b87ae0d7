import { expect, test } from '@jest/globals';
import { readPartitionNews } from './partition-news.ts';

test('news are read as they were sent, and anything else is none', () => {
  const news = {
    readAt: 1,
    named: [{ environment: 'staging', model: 'Model_X' }],
    vehicles: [{ vin: 'KMHK281HGNU000001', at: 1.5 }],
  };
  expect(readPartitionNews(news)).toEqual(news);
  for (const other of [null, {}, { ...news, readAt: null }, { ...news, named: ['x'] }, { ...news, vehicles: [{}] }])
    expect(readPartitionNews(other)).toBeNull();
});

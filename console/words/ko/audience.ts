import type { audience as English } from '../en/audience.ts';

export const audience: typeof English = {
  whoHasWhat: '현재 적용 현황',
  models: '차종',
  regions: '지역',
  others: (count) => `외 ${count}`,
  theOthers: '기타',
  attributesUncounted: '속성은 차량에서만 알 수 있어 속성 조건 규칙의 결과는 여기에 포함되지 않습니다.',
  whoIsMissing: '변경이 적용되지 않은 차량',
  showMissing: '미적용 차량 보기',
  vehicle: '차량',
  lastSeen: '마지막 접속',
  never: '없음',
  vehicleStatus: { ONLINE: '온라인', OFFLINE: '오프라인', MAINTENANCE: '정비 중' },
  vehiclesConcerned: (count, text) =>
    count === 0 ? '값이 바뀌는 차량이 없습니다.' : `차량 ${text}대의 값이 바뀝니다.`,
  vehiclesWith: '값별 차량 수',
  audienceOfChange: '변경 전후의 차량 수',
};
